"""Jobs as the rest of nightlatch sees them: complete, checked, immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nightlatch.catalog import budget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nightlatch.catalog.file_model import ConflictPolicy


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job starts by itself.

    ``expression`` is written as EventBridge Scheduler takes it: ``cron(...)``, ``rate(...)`` or ``at(...)``.
    """

    expression: str
    timezone: str
    alert_after_minutes: int
    max_lateness_minutes: int


@dataclass(frozen=True, slots=True)
class LockSettings:
    """Which lock a run holds, and what it does when another run holds it."""

    key: str
    on_conflict: ConflictPolicy
    max_wait_minutes: int
    max_waiters: int

    @property
    def max_wait_seconds(self) -> int:
        """The longest a run waits for the lock."""
        return self.max_wait_minutes * 60


@dataclass(frozen=True, slots=True)
class RetryWait:
    """The wait before the next attempt, in seconds: first, times ``rate`` each time, at most max."""

    first_seconds: int
    rate: int
    max_seconds: int


@dataclass(frozen=True, slots=True)
class FanOut:
    """How a step runs once for each shard. ``shards_from``: the earlier step that wrote the list."""

    shards_from: str
    shard_timeout_seconds: int
    max_concurrency: int
    tolerated_failure_percentage: int


@dataclass(frozen=True, slots=True)
class Step:
    """One container of a job, or one for each shard.

    ``retry`` has every failure class, and ``exit_N`` where the file names one; in a fan-out each shard's.
    """

    name: str
    command: tuple[str, ...]
    timeout_seconds: int
    cpu: int
    memory: int
    stop_grace_seconds: int
    environment: Mapping[str, str]
    retry: Mapping[str, int]
    retry_wait: RetryWait
    fan_out: FanOut | None = None

    @property
    def timeout_minutes(self) -> float:
        """The attempt's time limit as the file has it."""
        return self.timeout_seconds / 60

    @property
    def budget_seconds(self) -> int:
        """The longest that the step can take with every retry used up."""
        if self.fan_out is not None:
            return budget.fan_out_seconds(self.timeout_seconds, self.stop_grace_seconds)
        return budget.step_seconds(
            self.timeout_seconds, self.stop_grace_seconds, self.retry, self.retry_wait.max_seconds
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A job in one environment.

    ``claim_container``: the image is not built on nightlatch's own, so it cannot claim the lock itself; a
    container of ours does it before the job's container starts.
    """

    name: str
    description: str
    schedule: Schedule | None
    lock: LockSettings
    image: str
    claim_container: bool
    steps: tuple[Step, ...]

    @property
    def run_timeout_seconds(self) -> int:
        """The time limit of a run; always less than the lease. See :mod:`nightlatch.catalog.budget`."""
        steps = [step.budget_seconds for step in self.steps]
        return budget.run_timeout_seconds(self.lock.max_wait_minutes, steps)

    @property
    def lease_seconds(self) -> int:
        """How long the lock is leased. See :mod:`nightlatch.catalog.budget`."""
        return budget.lease_seconds(self.run_timeout_seconds, [it.stop_grace_seconds for it in self.steps])


@dataclass(frozen=True, slots=True)
class Catalog:
    """The jobs of a file in one of its environments, by name, in the order of the file."""

    path: Path
    environment: str
    environments: tuple[str, ...]
    jobs: Mapping[str, Job] = field(default_factory=lambda: MappingProxyType({}))


def job_of(name: str, merged: Mapping[str, Any]) -> Job:
    """A job from its merged values, which must have been checked."""
    schedule, lock = merged.get("schedule"), merged["lock"]
    return Job(
        name=name,
        description=merged.get("description", ""),
        schedule=_schedule_of(schedule) if schedule is not None else None,
        lock=LockSettings(lock["key"], lock["on_conflict"], lock["max_wait_minutes"], lock["max_waiters"]),
        image=merged["image"],
        claim_container=merged.get("claim_container", False),
        steps=tuple(_step_of(step) for step in merged["steps"]),
    )


def seconds_of(minutes: float) -> int:
    """Whole seconds of a ``timeout_minutes``: 0.35 * 60 is not quite 21 in binary."""
    return round(minutes * 60)


def _schedule_of(merged: Mapping[str, Any]) -> Schedule:
    return Schedule(
        expression=next(merged[kind] for kind in ("cron", "rate", "at") if merged.get(kind) is not None),
        timezone=merged["timezone"],
        alert_after_minutes=merged["alert_after_minutes"],
        max_lateness_minutes=merged["max_lateness_minutes"],
    )


def _step_of(merged: Mapping[str, Any]) -> Step:
    return Step(
        name=merged["name"],
        command=tuple(merged["command"]),
        timeout_seconds=seconds_of(merged["timeout_minutes"]),
        cpu=merged["cpu"],
        memory=merged["memory"],
        stop_grace_seconds=merged["stop_grace_seconds"],
        environment=MappingProxyType(dict(merged["environment"])),
        retry=MappingProxyType(dict(merged["retry"])),
        retry_wait=RetryWait(**merged["retry_wait"]),
        fan_out=_fan_out_of(merged["fan_out"]) if "fan_out" in merged else None,
    )


def _fan_out_of(merged: Mapping[str, Any]) -> FanOut:
    return FanOut(
        shards_from=merged["shards_from"],
        shard_timeout_seconds=seconds_of(merged["shard_timeout_minutes"]),
        max_concurrency=merged["max_concurrency"],
        tolerated_failure_percentage=merged["tolerated_failure_percentage"],
    )
