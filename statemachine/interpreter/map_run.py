"""What the world may know of a Distributed Map: its run and its child executions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from statemachine.interpreter.execution import ExecutionContext, ExecutionResult
from statemachine.interpreter.history import HistoryEvent

MapRunStatus = Literal["RUNNING", "SUCCEEDED", "FAILED", "ABORTED"]


@dataclass
class ItemCounts:
    """How the items of a map run stand; one child execution per item."""

    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    aborted: int = 0

    @property
    def total(self) -> int:
        """All items."""
        return sum((self.pending, self.running, self.succeeded, self.failed, self.timed_out, self.aborted))


@dataclass
class MapRun:
    """One attempt of a Distributed Map state, as DescribeMapRun shows it.

    Attributes:
        execution_arn: the parent.
        state_machine_arn: what the children belong to: the parent's machine with the label behind a slash.
        max_concurrency: 0 where it was not bounded.
        started_at, stopped_at: seconds since the epoch.
    """

    arn: str
    execution_arn: str
    state_machine_arn: str
    max_concurrency: int
    tolerated_failure_count: int
    tolerated_failure_percentage: float
    started_at: float
    stopped_at: float | None = None
    status: MapRunStatus = "RUNNING"
    counts: ItemCounts = field(default_factory=ItemCounts)


class MapRunRecords(Protocol):
    """Keeps map runs and child executions. Called synchronously; must not block or raise."""

    def map_run_changed(self, map_run: MapRun) -> None:
        """A run has started, its counts have changed, or it has ended. The object is the same each time."""
        ...

    def child_started(self, map_run: MapRun, context: ExecutionContext) -> Callable[[HistoryEvent], None]:
        """A child execution starts; returns the receiver of its history."""
        ...

    def child_ended(self, map_run: MapRun, context: ExecutionContext, result: ExecutionResult) -> None:
        """A child execution has ended, its work drained."""
        ...


class ForgottenMapRuns:
    """Keeps nothing."""

    def map_run_changed(self, map_run: MapRun) -> None:
        """See MapRunRecords."""

    def child_started(
        self,
        map_run: MapRun,  # noqa: ARG002 - the protocol's shape
        context: ExecutionContext,  # noqa: ARG002 - the protocol's shape
    ) -> Callable[[HistoryEvent], None]:
        """See MapRunRecords."""
        return _ignore

    def child_ended(self, map_run: MapRun, context: ExecutionContext, result: ExecutionResult) -> None:
        """See MapRunRecords."""


def _ignore(_event: HistoryEvent) -> None:
    pass
