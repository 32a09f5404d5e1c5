"""A watched run as sentences: one line for each thing that changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightlatch.cli.times import span

if TYPE_CHECKING:
    from nightlatch.operations.attempts import Attempt
    from nightlatch.operations.container_logs import Progress
    from nightlatch.operations.fan_outs import FanOut, ShardFailure
    from nightlatch.operations.observation import Observation

_STEP_PERCENT = 10


def progress_text(progress: Progress) -> str:
    """Progress in a few words: ``40 % · check · 400 of 1000 · 3 m 20 s to go``."""
    done = f"{progress.done:g}" + (f" of {progress.total:g}" if progress.total is not None else "")
    parts = [
        f"{progress.percent:.0f} %" if progress.percent is not None else "",
        progress.phase or "",
        done,
        f"{span(progress.eta_seconds)} to go" if progress.eta_seconds is not None else "",
        progress.message or "",
    ]
    return " · ".join(part for part in parts if part)


def attempt_text(attempt: Attempt, now_seconds: float) -> str:
    """How an attempt stands: ``failed after 12 s, exit code 75: reason``."""
    if attempt.result == "running":
        return f"running for {span(now_seconds)}" if attempt.task_arn else "starting a container"
    code = f", exit code {attempt.exit_code}" if attempt.exit_code else ""
    reason = f": {attempt.reason}" if attempt.reason else ""
    return f"{attempt.result.replace('_', ' ')} after {span(now_seconds)}{code}{reason}"


def fan_out_text(fan_out: FanOut, now_seconds: float) -> str:
    """How a fan-out stands: ``running for 12 s: 5 of 8 shards done, 2 running``."""
    word = "running for" if fan_out.status == "running" else f"{fan_out.status} after"
    return f"{word} {span(now_seconds)}: {fan_out.words}"


def shard_failure_text(failure: ShardFailure) -> str:
    """Why a shard failed: ``shard 7 failed after 3 attempts, exit_75: exit code 75``."""
    who = "a shard" if failure.index is None else f"shard {failure.index}"
    tries = f" after {failure.attempts} attempts" if (failure.attempts or 0) > 1 else ""
    why = ": ".join(part for part in (failure.failure_class, failure.reason) if part)
    return f"{who} failed{tries}" + (f", {why}" if why else "")


@dataclass
class Changes:
    """Remembers what was said, and says what is new."""

    _attempts: dict[tuple[str, int, str | None], str] = field(default_factory=dict)
    _phase: str = ""
    _token: int | None = None
    _mark: tuple[object, ...] = ()
    _fan_outs: dict[tuple[str, str], tuple[object, ...]] = field(default_factory=dict)

    def of(self, seen: Observation) -> list[str]:
        """The lines for an observation, given all before it."""
        lines = [*self._lock(seen), *self._steps(seen), *self._shards(seen), *self._progress(seen)]
        if seen.run.running and not seen.attempts and seen.phase != self._phase:
            lines.append(seen.phase)
        self._phase = seen.phase
        if not seen.run.running:
            lines.append(
                f"{seen.run.outcome.value.replace('_', ' ')} after {span(seen.run.seconds(seen.at))}"
            )
        return lines

    def _lock(self, seen: Observation) -> list[str]:
        lock = seen.lock
        if lock is None or not seen.run.running or not lock.held:
            return []
        if lock.owner != seen.run.execution_arn:
            return [f"lock {lock.key} is held by {lock.run}"] if seen.phase != self._phase else []
        if lock.token is not None and lock.token != self._token:
            self._token = lock.token
            return [f"lock {lock.key} claimed, token {lock.token}"]
        return []

    def _steps(self, seen: Observation) -> list[str]:
        lines = []
        for attempt in seen.attempts:
            key = (attempt.step, attempt.number, attempt.started_at.isoformat())
            state = attempt.result if attempt.result != "running" else str(attempt.task_arn is not None)
            if self._attempts.get(key) == state:
                continue
            self._attempts[key] = state
            seconds = ((attempt.ended_at or seen.at) - attempt.started_at).total_seconds()
            lines.append(f"step {attempt.step}, attempt {attempt.number}: {attempt_text(attempt, seconds)}")
        return lines

    def _shards(self, seen: Observation) -> list[str]:
        lines = []
        for fan_out in seen.fan_outs:
            key = (fan_out.step, fan_out.started_at.isoformat())
            state = (fan_out.status, fan_out.succeeded, fan_out.failed)
            if self._fan_outs.get(key) == state or not fan_out.shards:
                continue
            self._fan_outs[key] = state
            seconds = ((fan_out.ended_at or seen.at) - fan_out.started_at).total_seconds()
            lines.append(f"step {fan_out.step}: {fan_out_text(fan_out, seconds)}")
            if fan_out.status != "running":
                lines += [f"  {shard_failure_text(failure)}" for failure in fan_out.failures]
        return lines

    def _progress(self, seen: Observation) -> list[str]:
        progress, attempt = seen.progress, seen.attempt
        if progress is None or attempt is None or seen.fan_out is not None:
            return []  # of a fan-out the shards are told
        tenth = progress.percent // _STEP_PERCENT if progress.percent is not None else progress.done
        mark = (attempt.task_arn, progress.phase, tenth)
        if mark == self._mark:
            return []
        self._mark = mark
        return [f"step {attempt.step}, attempt {attempt.number}: {progress_text(progress)}"]
