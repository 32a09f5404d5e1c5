"""Look at a run: its steps, attempts, progress, and its lock, at one moment or again and again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlatch.operations.attempts import Attempt, HistoryReader, Trail
from nightlatch.operations.container_logs import LogLine, LogReader, Progress, ProgressMeter
from nightlatch.operations.executions import read_run
from nightlatch.operations.fan_outs import FanOut, FanOutReader
from nightlatch.operations.locks import LockStatus, read_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from nightlatch.operations.deployment import Deployment
    from nightlatch.operations.runs import Run

# Progress is read from the newest lines of a container only: a talkative job has hours of them.
_PROGRESS_TAIL = 2000
_SETTLE_LOOKS = 3


@dataclass(frozen=True)
class Observation:
    """A run at one moment.

    Attributes:
        phase: What it does, in a few words: the state, or that it waits for its lock.
        lines: Log lines since the look before.
        fan_outs: The steps that ran, or run, once for each shard.
    """

    at: datetime
    run: Run
    attempts: tuple[Attempt, ...]
    phase: str
    progress: Progress | None
    lock: LockStatus | None
    lines: tuple[LogLine, ...] = ()
    fan_outs: tuple[FanOut, ...] = ()

    @property
    def fan_out(self) -> FanOut | None:
        """The fan-out that is running now."""
        return next((it for it in reversed(self.fan_outs) if it.status == "running"), None)

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None


class Watcher:
    """Looks at one run repeatedly, fetching only what is new.

    Args:
        deployment: The environment.
        run: The run.
        lock_key: The lock its job uses, when known.
        all_lines: Read every log line from the start, not only enough to know the progress.
    """

    def __init__(
        self, deployment: Deployment, run: Run, *, lock_key: str | None = None, all_lines: bool = False
    ) -> None:
        self._deployment = deployment
        self._run = run
        self._lock_key = lock_key
        self._history = HistoryReader(deployment, run.execution_arn)
        self._logs = LogReader(deployment, run.job, tail=None if all_lines else _PROGRESS_TAIL)
        self._fan_outs = FanOutReader(deployment, run.job)
        self._meters: dict[str, ProgressMeter] = {}
        self._quiet: set[str] = set()

    def look(self) -> Observation:
        """The run now."""
        # The status is read before the history, so that an ended run always comes with its last attempt.
        if self._run.running:
            self._run = read_run(self._deployment, self._run.job, self._run.run) or self._run
        trail = self._history.read()
        lock = read_lock(self._deployment, self._lock_key) if self._lock_key else None
        lines = self._read_lines(trail.attempts)
        fan_outs = self._fan_outs.read(trail.map_runs)
        fanning = next((it for it in reversed(fan_outs) if it.status == "running"), None)
        newest = trail.last
        meter = self._meters.get(newest.task_id or "") if newest else None
        return Observation(
            at=self._deployment.now(),
            run=self._run,
            attempts=trail.attempts,
            phase=_phase(self._run, trail, lock, fanning),
            progress=self._fan_outs.progress(fanning) if fanning else meter.latest if meter else None,
            lock=lock,
            lines=tuple(lines),
            fan_outs=fan_outs,
        )

    def _read_lines(self, attempts: tuple[Attempt, ...]) -> list[LogLine]:
        found: list[LogLine] = []
        for attempt in attempts:
            task = attempt.task_id
            if task is None or task in self._quiet:
                continue
            lines = self._logs.read([attempt])
            # A container that has ended says nothing more, but its last lines may still be on their way.
            if attempt.result != "running" and not lines and not self._run.running:
                self._quiet.add(task)
            self._meters.setdefault(task, ProgressMeter()).take(lines)
            found += lines
        return sorted(found, key=lambda line: line.at)


def _phase(run: Run, trail: Trail, lock: LockStatus | None, fanning: FanOut | None) -> str:
    current = trail.current
    if not run.running:
        return run.outcome.value
    if fanning is not None:
        return f"step {fanning.step}: {fanning.words}"
    if current is not None:
        return f"step {current.step}" if current.task_arn else f"step {current.step}: starting a container"
    if lock is not None and lock.held and lock.owner != run.execution_arn:
        return "waiting for the lock"
    return trail.state or "starting"


def follow(
    watcher: Watcher,
    interval: float,
    *,
    until: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
    settle: bool = False,
) -> Iterator[Observation]:
    """Look until the run has ended.

    Args:
        watcher: The watcher.
        interval: Seconds between two looks; jittered, so that many watchers spread out.
        until: Asked between looks; true ends the watch early.
        sleep: How to wait.
        settle: After the end, keep looking until a few looks brought no more log lines.
    """
    silent = 0
    while True:
        seen = watcher.look()
        yield seen
        if not seen.run.running:
            silent = 0 if seen.lines else silent + 1
            if not settle or silent >= _SETTLE_LOOKS:
                return
        elif until():
            return
        sleep(interval * random.uniform(0.8, 1.2))
