"""Map runs and the child executions of Distributed Maps: kept as they go, shown by the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.names import execution_arn
from nightlatch.local.stepfunctions.paging import page_of, with_token
from nightlatch.local.stepfunctions.store import Row, Store, dumps, present

if TYPE_CHECKING:
    from collections.abc import Callable

    from statemachine.interpreter import ExecutionContext, ExecutionResult, HistoryEvent, MapRun

    Note = Callable[[HistoryEvent], None]

_MAP_RUN = re.compile(r"^arn:[\w-]+:states:[\w-]+:\d{12}:mapRun:[^:]+:[^:/]+$")
_COUNTS = ("pending", "running", "succeeded", "failed", "timed_out", "aborted")
_KEEP = """
INSERT INTO map_run (
    arn, execution, machine, max_concurrency, tolerated_count, tolerated_percentage, status, start_at,
    stop_at, pending, running, succeeded, failed, timed_out, aborted
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (arn) DO UPDATE SET
    status = excluded.status, stop_at = excluded.stop_at, pending = excluded.pending,
    running = excluded.running, succeeded = excluded.succeeded, failed = excluded.failed,
    timed_out = excluded.timed_out, aborted = excluded.aborted
"""


def map_run_arn(arn: object) -> str:
    """Check a map run's ARN.

    Raises:
        ApiError: ``InvalidArn``.
    """
    if not isinstance(arn, str) or not _MAP_RUN.match(arn):
        raise ApiError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    return arn


class MapRunKeeper:
    """Writes down the map runs of one execution (``statemachine.interpreter.MapRunRecords``).

    A store that is full loses the record, not the run: what it shows is then older than the truth.

    Args:
        store: Where they are kept.
        parent: The execution.
        note: Gives the receiver of a child's history, from its number in the store.
        flush: Writes down the history noted so far.
        trouble: Told what could not be stored.
    """

    def __init__(
        self,
        store: Store,
        parent: Row,
        *,
        note: Callable[[int], Note],
        flush: Callable[[], None],
        trouble: Callable[[str], None],
    ) -> None:
        self._store = store
        self._parent = parent
        self._note = note
        self._flush = flush
        self._trouble = trouble
        self._outputs: dict[str, str] = {}

    def map_run_changed(self, map_run: MapRun) -> None:
        """Keep how it stands."""
        counts = map_run.counts
        self._try(
            lambda: self._store.run(
                _KEEP,
                map_run.arn,
                map_run.execution_arn,
                map_run.state_machine_arn,
                map_run.max_concurrency,
                map_run.tolerated_failure_count,
                map_run.tolerated_failure_percentage,
                map_run.status,
                map_run.started_at,
                map_run.stopped_at,
                *(getattr(counts, name) for name in _COUNTS),
            ),
            map_run.arn,
        )

    def child_started(self, map_run: MapRun, context: ExecutionContext) -> Note:
        """Keep the execution as RUNNING. Its status events stay away, as for its end."""
        numbers: list[int] = []

        def insert() -> None:
            with self._store.transaction():
                number = self._store.insert(
                    "execution",
                    arn=context.execution_arn,
                    name=context.name,
                    machine=context.state_machine_arn,
                    revision=self._parent["revision"],
                    status="RUNNING",
                    start_at=context.start_time,
                    input=dumps(context.input),
                    announced=1,
                )
                self._store.insert("map_run_item", execution=number, map_run=map_run.arn)
                numbers.append(number)

        self._try(insert, context.execution_arn)
        if not numbers:
            return _ignore
        receive = self._note(numbers[0])

        def note(event: HistoryEvent) -> None:
            details = event.details.get("executionSucceededEventDetails")
            if details is not None:
                self._outputs[context.execution_arn] = details.get("output", "null")
            receive(event)

        return note

    def child_ended(self, map_run: MapRun, context: ExecutionContext, result: ExecutionResult) -> None:
        """Keep its end."""
        output = self._outputs.pop(context.execution_arn, None)

        def close() -> None:
            self._flush()
            self._store.run(
                "UPDATE execution SET status = ?, stop_at = coalesce((SELECT max(at) FROM event "
                "WHERE event.execution = execution.id), start_at), output = ?, error = ?, cause = ? "
                "WHERE arn = ?",
                result.status,
                output if result.status == "SUCCEEDED" else None,
                result.error,
                result.cause,
                context.execution_arn,
            )

        self._try(close, f"{map_run.arn}: {context.execution_arn}")

    def _try(self, write: Callable[[], None], what: str) -> None:
        try:
            write()
        except ApiError as error:
            self._trouble(f"{what} was not stored: {error.message}")


class MapRuns:
    """The API's view of them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMapRun.

        Raises:
            ApiError: ``ResourceNotFound``: there is none.
        """
        row = self.row(map_run_arn(request.get("mapRunArn")))
        counts = {
            "pending": row["pending"],
            "running": row["running"],
            "succeeded": row["succeeded"],
            "failed": row["failed"],
            "timedOut": row["timed_out"],
            "aborted": row["aborted"],
            "total": sum(row[name] for name in _COUNTS),
            "resultsWritten": 0,
        }
        return present(
            mapRunArn=row["arn"],
            executionArn=row["execution"],
            status=row["status"],
            startDate=row["start_at"],
            stopDate=row["stop_at"],
            maxConcurrency=row["max_concurrency"],
            toleratedFailurePercentage=row["tolerated_percentage"],
            toleratedFailureCount=row["tolerated_count"],
            itemCounts=counts,
            executionCounts=dict(counts),
            redriveCount=0,
        )

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListMapRuns of an execution, newest first."""
        arn = execution_arn(request.get("executionArn"))
        if self._store.row("SELECT 1 FROM execution WHERE arn = ?", arn) is None:
            raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        start, size = page_of(request)
        rows = self._store.rows(
            "SELECT * FROM map_run WHERE execution = ? ORDER BY start_at DESC, arn LIMIT ? OFFSET ?",
            arn,
            size + 1,
            start,
        )
        shown = [
            present(
                executionArn=row["execution"],
                mapRunArn=row["arn"],
                stateMachineArn=row["machine"],
                startDate=row["start_at"],
                stopDate=row["stop_at"],
            )
            for row in rows
        ]
        return with_token(shown, "mapRuns", start, size)

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateMapRun: always refused.

        Raises:
            ApiError: ``ValidationException``.
        """
        self.row(map_run_arn(request.get("mapRunArn")))
        raise ApiError(
            "ValidationException",
            "UpdateMapRun: not offered by the local AWS. What a fan-out may do stands in the jobs file: "
            "change max_concurrency or tolerated_failure_percentage there and start a new run.",
        )

    def row(self, arn: str) -> Row:
        """A map run.

        Raises:
            ApiError: ``ResourceNotFound``.
        """
        row = self._store.row("SELECT * FROM map_run WHERE arn = ?", arn)
        if row is None:
            raise ApiError("ResourceNotFound", f"Resource not found: '{arn}'")
        return row


def abort_open(store: Store, now: float) -> None:
    """End the map runs that were open when the process died."""
    store.run(
        "UPDATE map_run SET status = 'ABORTED', stop_at = ?, aborted = aborted + pending + running, "
        "pending = 0, running = 0 WHERE status = 'RUNNING'",
        now,
    )


def forget_old(store: Store, before: float) -> None:
    """Remove those that ended before a time."""
    store.run("DELETE FROM map_run_item WHERE map_run IN (SELECT arn FROM map_run WHERE stop_at < ?)", before)
    store.run("DELETE FROM map_run WHERE stop_at < ?", before)


def _ignore(_event: HistoryEvent) -> None:
    pass
