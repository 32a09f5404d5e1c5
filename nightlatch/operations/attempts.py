"""Steps and attempts of a run, read from the execution's history.

The history is read by what each container is told (NIGHTLATCH_STEP, NIGHTLATCH_ATTEMPT), not by the names of
states, so that it can be read whatever shape the definition has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nightlatch.operations.runs import as_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nightlatch.operations.deployment import Deployment

_PAGE = 1000
_NEXT_PAGE = 50
_RUN_TASK = "runTask.sync"
_ENDINGS = {
    "TaskSucceeded": ("succeeded", "taskSucceededEventDetails"),
    "TaskFailed": ("failed", "taskFailedEventDetails"),
    "TaskTimedOut": ("timed_out", "taskTimedOutEventDetails"),
    "TaskSubmitFailed": ("failed", "taskSubmitFailedEventDetails"),
    "TaskStartFailed": ("failed", "taskStartFailedEventDetails"),
}
# An execution that ends takes its open task with it.
_CLOSINGS = {"ExecutionAborted": "stopped", "ExecutionTimedOut": "timed_out", "ExecutionFailed": "stopped"}


@dataclass(frozen=True)
class Attempt:
    """One container of a step.

    Attributes:
        number: 1 for the first attempt of its step.
        result: running, succeeded, failed, timed_out or stopped.
        exit_code: The container's, when it had one; a container that never started has none.
        reason: What ECS or Step Functions said about the end.
        shard: Number of the shard it works on; None outside a fan-out.
    """

    step: str
    number: int
    task_arn: str | None
    started_at: datetime
    ended_at: datetime | None = None
    result: str = "running"
    exit_code: int | None = None
    reason: str | None = None
    shard: int | None = None

    @property
    def task_id(self) -> str | None:
        """The last part of the task's ARN: part of the log stream's name."""
        return self.task_arn.rpartition("/")[2] if self.task_arn else None


@dataclass(frozen=True)
class Trail:
    """What a history tells of a run.

    Attributes:
        attempts: In the order in which they were started.
        state: The state that was entered last and not left.
        events: How many events the history has; Step Functions ends an execution at 25,000.
        map_runs: ARNs of the map runs that it started, one for each fan-out.
    """

    attempts: tuple[Attempt, ...]
    state: str | None
    events: int
    map_runs: tuple[str, ...] = ()

    @property
    def current(self) -> Attempt | None:
        """The attempt that is running now."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.result == "running"), None)

    @property
    def last(self) -> Attempt | None:
        """The attempt that was started last."""
        return self.attempts[-1] if self.attempts else None


class HistoryReader:
    """Reads the history of one execution again and again, fetching only what is new.

    Args:
        deployment: The environment.
        execution_arn: The execution.
    """

    def __init__(self, deployment: Deployment, execution_arn: str) -> None:
        self._client = deployment.clients.stepfunctions
        self._arn = execution_arn
        self._events: dict[int, dict[str, Any]] = {}
        self._unbroken = 0

    def read(self) -> Trail:
        """The trail so far. Empty when Step Functions no longer knows the execution."""
        self._fetch()
        return trail([self._events[number] for number in sorted(self._events)])

    def _fetch(self) -> None:
        # Newest first, down to what is known: a long run costs one page a look, not its whole history.
        # Events are numbered from 1 without gaps. While pages are read more events are written, which may
        # shift what a page holds; so only an unbroken run of numbers from 1 counts as known.
        request: dict[str, Any] = {
            "executionArn": self._arn,
            "reverseOrder": True,
            "includeExecutionData": True,
            "maxResults": _PAGE if not self._events else _NEXT_PAGE,
        }
        while True:
            try:
                reply = self._client.get_execution_history(**request)
            except self._client.exceptions.ExecutionDoesNotExist:
                return
            self._events.update((event["id"], dict(event)) for event in reply["events"])
            token = reply.get("nextToken")
            reached = min((event["id"] for event in reply["events"]), default=1)
            if not token or reached <= self._unbroken + 1:
                break
            request["nextToken"] = token
        while self._unbroken + 1 in self._events:
            self._unbroken += 1


def _map_runs(events: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    started = [event for event in events if event["type"] == "MapRunStarted"]
    return tuple(str(event["mapRunStartedEventDetails"]["mapRunArn"]) for event in started)


def trail(events: Sequence[dict[str, Any]]) -> Trail:
    """The trail that a history's events tell, oldest first."""
    attempts: dict[int, Attempt] = {}
    origin: dict[int, int] = {}
    state: str | None = None
    count = 0
    for event in events:
        count += 1
        kind, number = event["type"], event["id"]
        at = event["timestamp"].astimezone(UTC)
        scheduled = origin.get(event.get("previousEventId", 0))
        if kind.endswith("StateEntered"):
            state = event["stateEnteredEventDetails"]["name"]
        elif kind == "TaskScheduled" and _starts_container(event):
            attempts[number] = _scheduled(event, at, len(attempts) + 1)
            scheduled = number
        elif scheduled is not None and kind == "TaskSubmitted":
            output = as_object(event["taskSubmittedEventDetails"].get("output"))
            attempts[scheduled] = replace(attempts[scheduled], task_arn=_task_arn(output))
        elif scheduled is not None and kind in _ENDINGS:
            attempts[scheduled] = _ended(attempts[scheduled], event, at)
        elif kind in _CLOSINGS or kind == "ExecutionSucceeded":
            state = None
            for key, attempt in attempts.items():
                if attempt.result == "running":
                    attempts[key] = replace(attempt, result=_CLOSINGS.get(kind, "stopped"), ended_at=at)
        if scheduled is not None and not kind.endswith(("StateEntered", "StateExited")):
            origin[number] = scheduled
    return Trail(tuple(attempts.values()), state, count, _map_runs(events))


def _starts_container(event: dict[str, Any]) -> bool:
    return str(event["taskScheduledEventDetails"].get("resource", "")).startswith(_RUN_TASK)


def _scheduled(event: dict[str, Any], at: datetime, position: int) -> Attempt:
    told: dict[str, str] = {}
    overrides = as_object(event["taskScheduledEventDetails"].get("parameters")).get("Overrides") or {}
    for container in overrides.get("ContainerOverrides") or ():
        for pair in container.get("Environment") or ():
            told[pair.get("Name", "")] = pair.get("Value", "")
    number, shard = told.get("NIGHTLATCH_ATTEMPT", ""), told.get("NIGHTLATCH_SHARD_INDEX", "")
    return Attempt(
        step=told.get("NIGHTLATCH_STEP") or "?",
        number=int(number) if number.isdecimal() else position,
        task_arn=None,
        started_at=at,
        shard=int(shard) if shard.isdecimal() else None,
    )


def _task_arn(output: dict[str, Any]) -> str | None:
    tasks = output.get("Tasks") or [output]
    arn = tasks[0].get("TaskArn") if isinstance(tasks[0], dict) else None
    return str(arn) if arn else None


def _ended(attempt: Attempt, event: dict[str, Any], at: datetime) -> Attempt:
    result, member = _ENDINGS[event["type"]]
    details = event.get(member) or {}
    told = as_object(details.get("output")) or as_object(details.get("cause"))
    containers = told.get("Containers") or []
    codes = [container["ExitCode"] for container in containers if container.get("ExitCode") is not None]
    reasons = [container.get("Reason") for container in containers]
    reason = told.get("StoppedReason") or next(filter(None, reasons), None)
    if result != "succeeded" and not told:
        reason = details.get("cause") or details.get("error")
    return replace(
        attempt,
        result=result,
        ended_at=at,
        task_arn=attempt.task_arn or told.get("TaskArn"),
        exit_code=int(codes[0]) if codes else None,
        reason=reason if result != "succeeded" else None,
    )
