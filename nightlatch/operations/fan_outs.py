"""The fan-outs of a run: how many shards are done, how far the others are, and why some failed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nightlatch.operations.attempts import Attempt
from nightlatch.operations.container_logs import LogReader, Progress, ProgressMeter
from nightlatch.operations.runs import as_object

if TYPE_CHECKING:
    from nightlatch.operations.deployment import Deployment

# A look reads the logs of so many containers at most; the others count as not begun.
_CONTAINERS = 40
_PROGRESS_TAIL = 200
_FAILURES = 5
_RATE_WINDOW_SECONDS = 300
_LEAST_SAMPLES = 2


@dataclass(frozen=True)
class ShardFailure:
    """A shard that failed for good.

    Attributes:
        failure_class: As for a step; None when the child execution does not say.
    """

    index: int | None
    failure_class: str | None
    attempts: int | None
    reason: str


@dataclass(frozen=True)
class FanOut:
    """One fan-out of a run, at one moment.

    Attributes:
        status: running, succeeded, failed or aborted.
        shards: How many there are; 0 until their list has been read.
        failures: The newest few of the failed shards.
    """

    step: str
    status: str
    shards: int
    succeeded: int
    failed: int
    running: int
    pending: int
    started_at: datetime
    ended_at: datetime | None = None
    failures: tuple[ShardFailure, ...] = ()

    @property
    def words(self) -> str:
        """It in a few words: ``5 of 8 shards done, 2 running, 1 failed``."""
        parts = [f"{self.succeeded} of {self.shards} shards done"]
        parts += [f"{self.running} running"] if self.running else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)


@dataclass
class _Pace:
    """The rate of a percentage over the last minutes."""

    samples: deque[tuple[datetime, float]] = field(default_factory=deque)

    def eta(self, at: datetime, percent: float) -> float | None:
        """Seconds to go, when that can be told."""
        self.samples.append((at, percent))
        while (
            len(self.samples) > _LEAST_SAMPLES
            and (at - self.samples[0][0]).total_seconds() > _RATE_WINDOW_SECONDS
        ):
            self.samples.popleft()
        first_at, first = self.samples[0]
        seconds = (at - first_at).total_seconds()
        return (100 - percent) * seconds / (percent - first) if seconds > 0 and percent > first else None


class FanOutReader:
    """Looks at the fan-outs of one run again and again.

    Args:
        deployment: The environment.
        job: The run's job.
    """

    def __init__(self, deployment: Deployment, job: str) -> None:
        self._deployment = deployment
        self._job = job
        self._client = deployment.clients.stepfunctions
        self._ended: dict[str, FanOut] = {}
        self._steps: dict[str, str] = {}
        self._logs = LogReader(deployment, job, tail=_PROGRESS_TAIL)
        self._meters: dict[str, ProgressMeter] = {}
        self._pace = _Pace()

    def read(self, map_runs: tuple[str, ...]) -> tuple[FanOut, ...]:
        """The fan-outs as they stand; one that Step Functions no longer knows is left out."""
        return tuple(found for arn in map_runs if (found := self._read(arn)) is not None)

    def progress(self, fan_out: FanOut) -> Progress:
        """How far a running fan-out is: the shards that are done, and the parts of those at work."""
        at = self._deployment.now()
        over = fan_out.succeeded + fan_out.failed
        parts = sum(self._parts(fan_out)) if fan_out.running else 0.0
        percent = min(100.0, 100 * (over + parts) / fan_out.shards) if fan_out.shards else None
        return Progress(
            at=at,
            done=fan_out.succeeded,
            total=fan_out.shards or None,
            phase="shards",
            message=f"{fan_out.running} running" + (f", {fan_out.failed} failed" if fan_out.failed else ""),
            percent=percent,
            eta_seconds=self._pace.eta(at, percent) if percent is not None else None,
        )

    def _read(self, arn: str) -> FanOut | None:
        if arn in self._ended:
            return self._ended[arn]
        try:
            shown = self._client.describe_map_run(mapRunArn=arn)
        except self._client.exceptions.ResourceNotFound:
            return None
        counts = shown["itemCounts"]
        stopped: datetime | None = shown.get("stopDate")
        failed = counts["failed"] + counts["timedOut"] + counts["aborted"]
        found = FanOut(
            step=self._step(arn),
            status=shown["status"].lower(),
            shards=counts["total"],
            succeeded=counts["succeeded"],
            failed=failed,
            running=counts["running"],
            pending=counts["pending"],
            started_at=shown["startDate"].astimezone(UTC),
            ended_at=None if stopped is None else stopped.astimezone(UTC),
            failures=self._failures(arn) if counts["failed"] else (),
        )
        if found.ended_at is not None:
            self._ended[arn] = found
        return found

    def _step(self, arn: str) -> str:
        """The step's name, as any of the children was told it."""
        if arn not in self._steps:
            children = self._client.list_executions(mapRunArn=arn, maxResults=1)["executions"]
            if not children:
                return "?"
            told = self._told(children[0]["executionArn"], "input")
            self._steps[arn] = str(told.get("step") or "?")
        return self._steps[arn]

    def _failures(self, arn: str) -> tuple[ShardFailure, ...]:
        children = self._client.list_executions(mapRunArn=arn, statusFilter="FAILED", maxResults=_FAILURES)
        return tuple(_failure(self._told(child["executionArn"], "cause")) for child in children["executions"])

    def _told(self, execution: str, member: str) -> dict[str, Any]:
        shown: dict[str, Any] = dict(self._client.describe_execution(executionArn=execution))
        text = shown.get(member)
        return as_object(text) or {"reason": text or shown.get("error") or ""}

    def _parts(self, fan_out: FanOut) -> list[float]:
        """How much of itself each running container says to have done, 0 to 1."""
        installation = self._deployment.installation
        tasks = self._deployment.clients.ecs.list_tasks(
            cluster=installation.cluster,
            family=installation.family(self._job, fan_out.step),
            desiredStatus="RUNNING",
            maxResults=100,
        )["taskArns"]
        parts = []
        for arn in tasks[:_CONTAINERS]:
            attempt = Attempt(fan_out.step, 1, arn, fan_out.started_at)
            meter = self._meters.setdefault(arn, ProgressMeter())
            meter.take(self._logs.read([attempt]))
            if meter.latest is not None and meter.latest.percent is not None:
                parts.append(meter.latest.percent / 100)
        return parts


def _failure(told: dict[str, Any]) -> ShardFailure:
    index, attempts = told.get("index"), told.get("attempts")
    return ShardFailure(
        index=int(index) if isinstance(index, int | float) else None,
        failure_class=told.get("class"),
        attempts=int(attempts) if isinstance(attempts, int | float) else None,
        reason=str(told.get("reason") or ""),
    )
