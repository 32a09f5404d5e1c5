"""What a container prints reaches CloudWatch Logs, whole and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.ecs.logs import LONGEST_LINE, LogShipper, cut
from nightlatch.local.ecs.store import Store
from tests.support.local_ecs import GROUP, RecordedLogs, WallClock, awslogs, python, serving, until

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = {"awslogs-group": GROUP}


def test_an_unfinished_line_waits_for_its_end() -> None:
    assert cut(b"one\ntwo\nthr", everything=False) == (["one", "two"], 8)
    assert cut(b"one\ntwo\nthr", everything=True) == (["one", "two", "thr"], 11)
    assert cut(b"", everything=True) == ([], 0)


def test_carriage_returns_and_empty_lines_are_not_messages() -> None:
    assert cut(b"one\r\n\n\r\ntwo\n", everything=False) == (["one", "two"], 12)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert cut(b"a\xff\xfeb\n", everything=False) == (["a\ufffd\ufffdb"], 5)


def test_a_very_long_line_is_split_between_characters() -> None:
    line = ("x" * (LONGEST_LINE - 1) + "\u3042" * 10 + "\n").encode()

    messages, used = cut(line, everything=False)

    assert used == len(line)
    assert messages == ["x" * (LONGEST_LINE - 1), "\u3042" * 10]


def test_replacement_characters_never_make_an_event_too_long() -> None:
    messages, _ = cut(b"\xff" * LONGEST_LINE + b"\n", everything=False)

    assert "".join(messages) == "\ufffd" * LONGEST_LINE
    assert max(len(message.encode()) for message in messages) <= LONGEST_LINE


def test_output_arrives_while_the_task_runs_and_wholly_before_it_is_stopped(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "print('first', flush=True)\n"
        "print('to stderr', file=sys.stderr, flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "sys.stdout.write('last, without end of line')\n"
    )

    async def main() -> None:
        async with serving(tmp_path) as service:
            go = tmp_path / "go"
            task = await service.run(python(program, str(go), logConfiguration=awslogs()))
            stream = f"nightly/job/{task['taskArn'].rpartition('/')[2]}"
            await until(lambda: service.logs.streams.get((GROUP, stream)) == ["first", "to stderr"])
            go.touch()
            await service.ecs.wait_stopped(task["taskArn"])

            assert service.logs.lines(stream) == ["first", "to stderr", "last, without end of line"]

    trio.run(main)


def test_without_its_log_group_a_task_fails_to_start(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as service:
            missing = awslogs(**{"awslogs-group": "/missing"})
            task = await service.run_to_end(python("print('never')", logConfiguration=missing))
            assert task["stopCode"] == "TaskFailedToStart"
            assert task["stoppedReason"].startswith(
                "ResourceInitializationError: failed to validate logger args"
            )
            assert "The specified log group does not exist" in task["stoppedReason"]

            created = awslogs(**{"awslogs-group": "/missing", "awslogs-create-group": "true"})
            task = await service.run_to_end(python("print('now')", logConfiguration=created))
            assert task["containers"][0]["exitCode"] == 0

    trio.run(main)


def test_what_was_shipped_is_remembered_and_what_was_not_is_shipped_later(tmp_path: Path) -> None:
    spool = tmp_path / "job.log"
    spool.write_bytes(b"one\ntwo\n")
    logs = RecordedLogs()

    async def first() -> None:
        store = Store(tmp_path / "ecs.sqlite")
        shipper = LogShipper(store, logs, WallClock())
        await shipper.open("t/job", spool, OPTIONS, "s")
        await shipper.ship_all()
        store.close()

    async def second() -> None:
        store = Store(tmp_path / "ecs.sqlite")
        shipper = LogShipper(store, logs, WallClock())
        assert shipper.keys() == ["t/job"]
        shipper.close("t/job")
        await shipper.ship_all()
        assert shipper.keys() == []
        assert store.all("log") == {}
        store.close()

    trio.run(first)
    with spool.open("ab") as file:
        file.write(b"three")
    trio.run(second)

    assert logs.lines("s") == ["one", "two", "three"]


@pytest.mark.parametrize("code", ["ServiceUnavailableException", "ThrottlingException"])
def test_a_refusal_loses_nothing(tmp_path: Path, code: str) -> None:
    spool = tmp_path / "job.log"
    spool.write_bytes(b"one\n")
    logs = RecordedLogs()
    logs.refusals = [ApiError(code, "not now", 503)]

    async def main() -> None:
        store = Store(tmp_path / "ecs.sqlite")
        shipper = LogShipper(store, logs, WallClock())
        await shipper.open("t/job", spool, OPTIONS, "s")
        await shipper.ship_all()
        assert logs.lines("s") == []
        done = shipper.close("t/job")
        await shipper.ship_all()
        assert done.is_set()
        store.close()

    trio.run(main)
    assert logs.lines("s") == ["one"]


def test_a_stream_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    spool = tmp_path / "job.log"
    spool.write_bytes(b"one\n")
    logs = RecordedLogs()

    async def main() -> None:
        store = Store(tmp_path / "ecs.sqlite")
        shipper = LogShipper(store, logs, WallClock())
        await shipper.open("t/job", spool, OPTIONS, "s")
        del logs.streams[GROUP, "s"]
        await shipper.ship_all()
        store.close()

    trio.run(main)
    assert logs.lines("s") == ["one"]
