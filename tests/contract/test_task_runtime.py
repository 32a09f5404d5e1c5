"""The runtime as ECS starts it: a real process, a real child, the lock row and S3 behind a real endpoint."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.contract import exit_codes, variables
from tests.support.container import RUN, Container, Site
from tests.support.lock_row import create_bucket, create_lock_table, hold, metadata_endpoint, row
from tests.support.moto_server import MotoServer, moto_server

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def aws() -> Iterator[MotoServer]:
    with moto_server() as server:
        create_lock_table(server.client("dynamodb"))
        create_bucket(server.client("s3"), "artifacts")
        yield server


@pytest.fixture(scope="module")
def metadata() -> Iterator[str]:
    with metadata_endpoint() as url:
        yield url


@pytest.fixture
def site(aws: MotoServer, metadata: str, tmp_path: Path) -> Site:
    return Site(aws, metadata, tmp_path)


WRITES_OUTPUT = """
import os, pathlib, sys
token = os.environ["NIGHTLATCH_TOKEN"]
pathlib.Path(os.environ["NIGHTLATCH_OUTPUT_DIR"], "token.txt").write_text(token)
print('{"nightlatch":"progress","done":4,"total":4,"phase":"write"}')
sys.exit(int(os.environ.get("EXIT", "0")))
"""

CHECKPOINTS_THEN_WAITS = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["NIGHTLATCH_CHECKPOINT_DIR"])
print("found", sorted(p.name for p in folder.iterdir()), flush=True)
def put(name):
    (folder / (name + ".tmp")).write_text(name)
    (folder / (name + ".tmp")).rename(folder / name)
def stop(*_):
    put("at-stop")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
put("first")
print("ready", flush=True)
time.sleep(60)
"""


def test_a_claimed_attempt_works_and_publishes_under_its_token(site: Site) -> None:
    site.hold("g1", fence=1000)

    container = site.python(WRITES_OUTPUT, grant="g1")

    assert container.wait() == 0, container.text
    assert site.published() == {"token.txt": b"1001"}
    holder = row(site.dynamodb, site.key)["holder"]["M"]
    assert holder["task_arn"]["S"].endswith("task/nightlatch-local/t1")
    [finished] = container.records("finished")
    assert (finished["exit_code"], finished["done"], finished["phase"]) == (0, 4, "write")
    metrics = [json.loads(line) for line in container.text.splitlines() if '"_aws"' in line]
    assert [(m["Job"], m["Step"], m["Success"], m["ProgressDone"]) for m in metrics] == [
        ("nightly", "work", 1, 4)
    ]


@pytest.mark.parametrize("why", ["another grant", "another owner", "another task", "free"])
def test_without_its_grant_a_container_does_not_work(site: Site, why: str) -> None:
    if why == "another owner":
        hold(site.dynamodb, site.key, grant="g1", owner="arn:aws:states:::execution:other")
    elif why != "free":
        site.hold("g1", fence=1000)
    if why == "another task":
        assert site.python(WRITES_OUTPUT, grant="g1", task="twin").wait() == 0

    container = site.python("print('worked')", grant="g2" if why == "another grant" else "g1")

    assert container.wait() == exit_codes.TRY_AGAIN
    [finished] = container.records("finished")
    assert finished["reason"].startswith("LOCK_LOST: ")
    assert "worked" not in container.text
    assert not container.records("started")


@pytest.mark.parametrize("code", [1, 64, 70, 75])
def test_the_exit_code_of_the_job_is_the_exit_code_of_the_container(site: Site, code: int) -> None:
    site.hold("g1", fence=1000)

    container = site.python(WRITES_OUTPUT, grant="g1", EXIT=str(code))

    assert container.wait() == code
    with pytest.raises(site.s3.exceptions.NoSuchKey):
        site.published()


def test_a_job_killed_by_a_signal_is_counted_as_ecs_does(site: Site) -> None:
    site.hold("g1", fence=1000)

    container = site.start("sh", "-c", "kill -9 $$", grant="g1")

    assert container.wait() == exit_codes.KILLED


def test_a_program_that_does_not_exist_is_wrong_input(site: Site) -> None:
    site.hold("g1", fence=1000)

    container = site.start("no-such-program", grant="g1")

    assert container.wait() == exit_codes.WRONG_INPUT
    assert "cannot start 'no-such-program'" in container.records("finished")[0]["reason"]


def test_sigterm_lets_the_job_checkpoint_and_the_next_attempt_finds_it(site: Site) -> None:
    site.hold("g1", fence=1000)
    first = site.python(CHECKPOINTS_THEN_WAITS, grant="g1")
    first.until(lambda: "\nready\n" in first.text)

    first.process.send_signal(signal.SIGTERM)

    assert first.wait(8) == exit_codes.STOPPED
    assert site.checkpointed() == ["at-stop", "first"], first.text
    site.hold("g2", fence=1001)
    second = site.python(CHECKPOINTS_THEN_WAITS, grant="g2", task="t2")
    second.until(lambda: "\nready\n" in second.text)
    assert "found ['at-stop', 'first']" in second.text
    second.process.send_signal(signal.SIGTERM)
    second.wait(8)


def test_a_checkpoint_is_uploaded_while_the_job_runs_so_kill_9_loses_little(site: Site) -> None:
    site.hold("g1", fence=1000)
    container = site.python(CHECKPOINTS_THEN_WAITS, grant="g1")
    container.until(lambda: site.checkpointed() == ["first"])

    os.killpg(container.process.pid, signal.SIGKILL)

    assert container.wait() == -signal.SIGKILL
    assert site.checkpointed() == ["first"]


def test_a_job_that_ignores_sigterm_is_killed_within_the_grace(site: Site) -> None:
    site.hold("g1", fence=1000)
    container = site.start(
        "sh",
        "-c",
        "trap '' TERM; echo ready; while :; do sleep 0.1; done",
        grant="g1",
        NIGHTLATCH_STOP_GRACE="2",
    )
    container.until(lambda: "\nready\n" in container.text)

    container.process.send_signal(signal.SIGTERM)

    assert container.wait(10) == exit_codes.STOPPED
    assert "did not stop within its grace" in container.text


def test_sigterm_before_the_job_starts_ends_without_it(site: Site) -> None:
    environment = site.environment(grant="g1") | {variables.METADATA_URI: "http://127.0.0.1:9/v4/t1"}
    container = Container([*RUN, "--", "echo", "worked"], environment, site._tmp_path)
    # The handlers stand before Python has finished importing; a signal before that would be the plain -15.
    container.until(lambda: _has_handler(container.process.pid))

    container.process.send_signal(signal.SIGTERM)

    assert container.wait() == exit_codes.STOPPED
    assert "worked" not in container.text


def test_near_the_deadline_the_job_is_told_in_time_to_checkpoint(site: Site) -> None:
    site.hold("g1", fence=1000)
    deadline = str(int((time.time() + 9) * 1000))

    container = site.python(
        CHECKPOINTS_THEN_WAITS, grant="g1", NIGHTLATCH_DEADLINE=deadline, NIGHTLATCH_STOP_GRACE="2"
    )

    assert container.wait(20) == exit_codes.STOPPED
    assert "the deadline is near" in container.text
    assert site.checkpointed() == ["at-stop", "first"]


def test_a_job_that_dies_of_its_deadline_stays_until_the_timeout_is_declared_outside(site: Site) -> None:
    site.hold("g1", fence=1000)
    deadline = time.time() + 3

    container = site.start(
        "sleep", "60", grant="g1", NIGHTLATCH_DEADLINE=str(int(deadline * 1000)), NIGHTLATCH_STOP_GRACE="2"
    )
    container.until(lambda: time.time() > deadline)
    assert container.process.poll() is None
    container.process.send_signal(signal.SIGTERM)

    assert container.wait(10) == exit_codes.STOPPED


def test_a_newer_holder_ends_the_old_job_and_keeps_its_own_checkpoint(site: Site) -> None:
    site.hold("g1", fence=1000)
    old = site.python(CHECKPOINTS_THEN_WAITS, grant="g1")
    old.until(lambda: site.checkpointed() == ["first"])
    site.hold("g2", fence=1005)
    new = site.python(CHECKPOINTS_THEN_WAITS.replace('put("first")', 'put("second")'), grant="g2", task="t2")
    new.until(lambda: site.checkpointed() == ["first", "second"])

    # The old job writes once more, and its upload finds the newer holder.
    folder = Path(f"/proc/{_child_of(old.process.pid)}/environ").read_bytes().split(b"\0")
    [directory] = [
        entry.partition(b"=")[2] for entry in folder if entry.startswith(b"NIGHTLATCH_CHECKPOINT_DIR=")
    ]
    Path(os.fsdecode(directory), "late").write_text("late")

    assert old.wait(20) == exit_codes.TRY_AGAIN
    assert old.records("finished")[0]["reason"].startswith("LOCK_LOST: ")
    assert site.checkpointed() == ["first", "second"]
    new.process.send_signal(signal.SIGTERM)
    new.wait(8)


def test_a_stale_run_does_not_publish(site: Site) -> None:
    site.hold("g2", fence=2000)
    assert site.python(WRITES_OUTPUT, grant="g2").wait() == 0
    site.hold("g1", fence=1000)  # as after a deleted lock item seeded by a slow clock

    container = site.python(WRITES_OUTPUT, grant="g1", NIGHTLATCH_CHECKPOINT="")

    assert container.wait() == exit_codes.TRY_AGAIN
    assert "newer than ours (1001)" in container.records("finished")[0]["reason"]
    assert site.published() == {"token.txt": b"2001"}


def test_a_full_disk_is_said_in_one_line(site: Site) -> None:
    site.hold("g1", fence=1000)
    # A limit on file sizes stands for the full disk: the write fails in the same place, for any user.
    first = site.python(
        "import os, pathlib, time\n"
        "pathlib.Path(os.environ['NIGHTLATCH_CHECKPOINT_DIR'], 'big').write_bytes(b'x' * 200_000)\n",
        grant="g1",
    )
    assert first.wait() == 0
    site.hold("g2", fence=1001)
    words = ["sh", "-c", 'ulimit -f 64; exec "$@"', "sh", *RUN, "--", "echo", "worked"]

    container = Container(words, site.environment(grant="g2"), site._tmp_path)

    assert container.wait() == exit_codes.CANNOT_WRITE
    assert "File too large" in container.records("finished")[0]["reason"]
    assert "worked" not in container.text


def test_a_bucket_that_is_not_there_is_said_in_one_line(site: Site) -> None:
    site.hold("g1", fence=1000)

    container = site.python(WRITES_OUTPUT, grant="g1", NIGHTLATCH_OUTPUT="s3://not-made-yet/x/")

    assert container.wait() == exit_codes.CANNOT_WRITE
    assert "NoSuchBucket" in container.records("finished")[0]["reason"]


def test_an_init_container_claims_for_a_foreign_image(site: Site, tmp_path: Path) -> None:
    site.hold("g1", fence=1000)
    command = [sys.executable, "-m", "tasks", "claim", "--directory", str(tmp_path / "shared")]

    done = Container(command, site.environment(grant="g1"), tmp_path)
    assert done.wait() == 0, done.text
    refused = Container(command, site.environment(grant="g1", task="twin"), tmp_path)
    assert refused.wait() == exit_codes.TRY_AGAIN

    assert (tmp_path / "shared" / "token").read_text() == "1001\n"
    assert json.loads((tmp_path / "shared" / "claim.json").read_text())["token"] == 1001
    assert (tmp_path / "shared" / "claim.env").read_text() == "NIGHTLATCH_TOKEN=1001\n"
    assert "has claimed it" in refused.text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "run wants a job's name"),
        (["run", "--"], "wants a command"),
        (["run", "sitemap-refesh"], "did you mean sitemap-refresh?"),
        (["claim", "--directory", "/nowhere"], "nothing to claim"),
        (["dance"], "invalid choice"),
    ],
)
def test_a_wrong_command_line_is_explained(words: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tasks", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == exit_codes.WRONG_INPUT
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def _has_handler(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
