"""The three stories. Each does the real thing through the product's own front, and checks what it claims."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

from nightlatch.operations.locks import read_lock
from nightlatch.operations.start import StartRequest, start_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nightlatch.local.night.board import Board
    from nightlatch.operations.deployment import Deployment
    from nightlatch.operations.locks import LockStatus

MAIN_JOB = "nightly-articles"
HANGING_JOB = "night-hangs"
KILLED_JOB = "night-killed"
_METADATA = "ECS_CONTAINER_METADATA_URI_V4"
_PATIENCE_SECONDS = 90.0
_LOOK_SECONDS = 0.1

T = TypeVar("T")


class StoryFailedError(Exception):
    """Something that the product promises was not seen."""


class Story(threading.Thread):
    """One story in a thread of its own; `failure` tells afterwards what did not hold.

    Args:
        name: Its name on the board.
        tell: What happens.
    """

    def __init__(self, name: str, board: Board, tell: Callable[[Callable[[str], None]], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._board = board
        self._tell = tell
        self.failure: str | None = None

    def run(self) -> None:
        """Tell it; keep what went wrong."""
        try:
            self._tell(lambda text: self._board.say(self.name, text))
        except Exception as error:  # noqa: BLE001 - whatever it was, the night has to say it
            self.failure = f"{type(error).__name__}: {error}"
            self._board.say(self.name, f"FAILED: {self.failure}")


def until(look: Callable[[], T | None], what: str) -> T:
    """Look again and again until something is seen.

    Raises:
        StoryFailedError: It was not seen in time.
    """
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up:
        if seen := look():
            return seen
        time.sleep(_LOOK_SECONDS)
    raise StoryFailedError(f"waited {_PATIENCE_SECONDS:.0f} s in vain for {what}")


def second_start(deployment: Deployment, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
    """An operator starts the main job on top of itself and is told who holds the lock."""
    holder = until(lambda: _claimed(deployment, "articles"), "the main job to claim its lock")
    say(f"$ nightlatch run {MAIN_JOB} --wait")
    done = subprocess.run(
        [Path(sys.executable).with_name("nightlatch"), "run", MAIN_JOB, "--wait", "-o", "json"],
        env={**environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise StoryFailedError(f"exit {done.returncode}: {done.stdout} {done.stderr}") from None
    if answer.get("outcome") != "skipped" or str(holder.run) not in json.dumps(answer):
        raise StoryFailedError(f"expected skipped with the holder's name, got {answer}")
    say(f"skipped: the lock is held by {holder.run} (token {holder.token})")


def hang(deployment: Deployment, say: Callable[[str], None]) -> None:
    """A job that ignores SIGTERM is ended by its timeout; the lock is free after its processes are gone."""
    started = start_run(deployment, StartRequest(HANGING_JOB, reason="one night"))
    held = until(lambda: _claimed(deployment, HANGING_JOB), "the hanging job to claim its lock")
    task = str(held.task_arn).rpartition("/")[2]
    group = until(lambda: found if len(found := processes_of(task)) > 1 else None, "its processes")
    begun = time.monotonic()
    say(f"run {started.run} hangs with {len(group)} processes, ignoring SIGTERM; its timeout is 6 s")
    gone: float | None = None

    def freed() -> bool:
        nonlocal gone
        # The lock is read first. Whatever is alive after a free lock was seen was let loose too early.
        status = read_lock(deployment, HANGING_JOB)
        left = processes_of(task)
        if not left and gone is None:
            gone = time.monotonic() - begun
            say(f"every process of the task is gone after {gone:.1f} s (SIGTERM, grace, SIGKILL)")
        free = status is not None and not status.held
        if free and left:
            raise StoryFailedError(f"the lock was free while {[p.pid for p in left]} were alive")
        return free

    until(freed, "the lock to be free")
    say(f"the lock is free after {time.monotonic() - begun:.1f} s: after the processes, not before")


def killed(deployment: Deployment, say: Callable[[str], None]) -> None:
    """A holder dies with its execution, without a word; the next run has the lock at once."""
    first = start_run(deployment, StartRequest(KILLED_JOB, params={"long": "yes"}, reason="one night"))
    held = until(lambda: _claimed(deployment, KILLED_JOB), "the holder to claim its lock")
    task = str(held.task_arn).rpartition("/")[2]
    victims = until(lambda: processes_of(task), "the holder's processes")
    lease = f"{held.lease_expires_at:%H:%M:%S}" if held.lease_expires_at else "-"
    say(f"run {first.run} holds token {held.token}; its lease runs until {lease} UTC")
    deployment.clients.stepfunctions.stop_execution(executionArn=first.execution_arn)
    for process in victims:
        _kill(process)
    struck = time.monotonic()
    until(lambda: _ended(deployment, first.execution_arn), "the execution to be aborted")
    say(f"its execution is aborted, and kill -9 takes every process of its task (pid {victims[0].pid}, ...)")
    second = start_run(deployment, StartRequest(KILLED_JOB, reason="one night"))
    token = until(lambda: _token_of(deployment, KILLED_JOB, second.run), "the next run to hold the lock")
    if held.token is None or token <= held.token:
        raise StoryFailedError(f"token {token} of the next run is not greater than {held.token}")
    say(f"run {second.run} holds the lock {time.monotonic() - struck:.1f} s later, token {token}")


def processes_of(task_id: str) -> list[psutil.Process]:
    """Every living process of a task, wherever it hides: the metadata address in its environment names it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and task_id in process.environ().get(_METADATA, ""):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _ended(deployment: Deployment, execution_arn: str) -> bool:
    status = deployment.clients.stepfunctions.describe_execution(executionArn=execution_arn)["status"]
    return status != "RUNNING"


def _kill(process: psutil.Process) -> None:
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _claimed(deployment: Deployment, key: str) -> LockStatus | None:
    status = read_lock(deployment, key)
    return status if status is not None and status.held and status.task_arn else None


def _token_of(deployment: Deployment, key: str, run: str) -> int | None:
    """The token of a run that holds the lock, or that has already come and gone."""
    status = read_lock(deployment, key)
    if status is None:
        return None
    if status.held:
        return status.token if status.run == run else None
    return status.fence if status.last_run == run else None
