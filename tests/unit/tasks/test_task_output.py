import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.contract import Progress
from tasks.contract.progress import LONGEST_LINE
from tasks.runtime.output import Output, Relay


class Pipe:
    """A job's end of the pipe, and everything that came out at ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        self.output = Output(self._fd)
        source, self._job = os.pipe()
        self.relay = Relay(source, self.output)
        self.relay.start()

    def job_writes(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._job, data) :]

    def job_ends(self) -> bytes:
        os.close(self._job)
        self.relay.finish(10)
        os.close(self._fd)
        return self.path.read_bytes()


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    return Pipe(tmp_path / "out")


def test_lines_come_through_unchanged_and_the_last_progress_is_kept(pipe: Pipe) -> None:
    text = (
        b"one\n" + Progress(1, 9).line().encode() + b"\n\xff\x00 not text\n" + Progress(5, 9).line().encode()
    )

    pipe.job_writes(text + b"\nlast line without an end")

    assert pipe.job_ends() == text + b"\nlast line without an end"
    assert pipe.relay.last_progress == Progress(5, 9)


def test_a_very_long_line_comes_through_whole_and_is_no_progress(pipe: Pipe) -> None:
    fake = Progress(7, 9).line().encode()
    long_line = b'{"nightlatch":"progress","x":"' + b"y" * (LONGEST_LINE * 40) + b'"}' + fake + b"\n"

    pipe.job_writes(long_line + b"after\n")

    assert pipe.job_ends() == long_line + b"after\n"
    assert pipe.relay.last_progress is None


def test_the_end_of_a_very_long_line_is_not_taken_for_a_line(pipe: Pipe) -> None:
    beginning = b"y" * (LONGEST_LINE + 1)
    pipe.job_writes(beginning)
    give_up = time.monotonic() + 10
    while pipe.path.stat().st_size < len(beginning):  # given out already, before the line has ended
        assert time.monotonic() < give_up
        time.sleep(0.01)

    pipe.job_writes(Progress(7, 9).line().encode() + b"\n")
    pipe.job_ends()

    assert pipe.relay.last_progress is None


def test_own_records_begin_on_a_line_of_their_own(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        output = Output(file.fileno())
        output.pass_through(b"half a line")
        output.write('{"event":"stopping"}\n')
        output.pass_through(b"the rest\n")

    assert (tmp_path / "out").read_text() == 'half a line\n{"event":"stopping"}\nthe rest\n'


def test_a_full_log_disk_does_not_end_the_job() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        output = Output(full.fileno())
        output.pass_through(b"lost\n")
        output.write("lost too\n")

    assert output.lost == 2


def test_a_reader_that_went_away_does_not_end_the_job() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = Output(writer)

    output.write("to nobody\n")
    os.close(writer)

    assert output.lost == 1


def test_the_command_line_starts_without_anything_slow() -> None:
    program = (
        "import sys, tasks.runtime.command_line\n"
        "slow = {'boto3', 'botocore', 'structlog', 'asyncio', 'pydantic'} & set(sys.modules)\n"
        "assert not slow, slow"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
