from __future__ import annotations

import json
import random
import sys
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions import definitions
from nightlatch.local.stepfunctions.map_runs import MapRunKeeper, abort_open, forget_old
from nightlatch.local.stepfunctions.status_event import status_event
from nightlatch.local.stepfunctions.store import Row, Store, dumps
from statemachine.interpreter import ExecutionContext, ExecutionResult, HistoryEvent, Stop, TaskTokens, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlatch.local.bus import EventBus
    from statemachine.interpreter import Clock, Integrations

RESTART_ERROR = "Nightlatch.LocalRestart"
RESTART_CAUSE = "The local AWS ended while this execution was running; its tasks were stopped."
SHUTDOWN_ERROR = "Nightlatch.LocalShutdown"
_FLUSH_SECONDS = 0.2
# Names are unique for 90 days after an execution has ended, and so long its history is kept.
KEPT_SECONDS = 90 * 86_400
SHUTDOWN_CAUSE = "The local AWS was shut down while this execution was running; its tasks were stopped."


@dataclass
class _Live:
    stop: Stop = field(default_factory=Stop)
    ended: trio.Event = field(default_factory=trio.Event)


class Runner:
    """Runs executions in one nursery, keeps their history, and tells the bus of every change of status.

    Args:
        store: Where executions and events are kept.
        clock: The time of day.
        bus: Hears of status changes.
    """

    def __init__(self, store: Store, clock: Clock, bus: EventBus) -> None:
        self._store = store
        self._clock = clock
        self._bus = bus
        self.tokens = TaskTokens()
        self.integrations: Integrations | None = None
        self._random = random.SystemRandom()
        self._live: dict[str, _Live] = {}
        self._nursery: trio.Nursery | None = None
        self._unwritten: list[tuple[object, ...]] = []
        self._noted = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run executions until cancelled; then they end as ABORTED, their tasks stopped."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._write_down)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def new_name(self) -> str:
        """The name of an execution that was started without one."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def open(self) -> trio.Nursery:
        """Where executions run.

        Raises:
            ApiError: ``ServiceUnavailable``: the server is ending and starts nothing any more.
        """
        if self._nursery is None or self._nursery.cancel_scope.cancel_called:
            raise ApiError(
                "ServiceUnavailable", "The local AWS is shutting down and starts no executions.", 503
            )
        return self._nursery

    def start(self, row: Row) -> None:
        """Run an execution that the store holds as RUNNING."""
        nursery = self.open()
        live = self._live[row["arn"]] = _Live()
        self._bus.publish(status_event(row))
        nursery.start_soon(self._execute, row, live)

    def stop(self, arn: str, error: str | None, cause: str | None) -> None:
        """Ask a running execution to end."""
        live = self._live.get(arn)
        if live is not None:
            live.stop.request(error, cause)

    async def ended(self, arn: str) -> None:
        """Wait until an execution has ended; returns at once when it is not running."""
        live = self._live.get(arn)
        if live is not None:
            await live.ended.wait()

    def flush(self) -> None:
        """Write down the events that have not been yet."""
        if not self._unwritten:
            return
        rows = self._unwritten
        with self._store.transaction():
            self._store.run_many(
                "INSERT INTO event (execution, id, previous, at, type, details) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        self._unwritten = []

    def abort_leftovers(self) -> int:
        """End what was running when the process died; call before anything is started.

        Returns:
            How many there were. Their status events come with ``announce``.
        """
        self._forget_old()
        left = self._store.rows("SELECT * FROM execution WHERE status = 'RUNNING'")
        now = self._clock.now()
        abort_open(self._store, now)
        for row in left:
            last = self._store.row(
                "SELECT coalesce(max(id), 0) AS id FROM event WHERE execution = ?", row["id"]
            )
            details = {"executionAbortedEventDetails": {"error": RESTART_ERROR, "cause": RESTART_CAUSE}}
            with self._store.transaction():
                self._store.insert(
                    "event",
                    execution=row["id"],
                    id=(last["id"] if last else 0) + 1,
                    previous=0,
                    at=now,
                    type="ExecutionAborted",
                    details=dumps(details),
                )
                self._close(
                    row, ExecutionResult("ABORTED", error=RESTART_ERROR, cause=RESTART_CAUSE), None, now
                )
        return len(left)

    def _forget_old(self) -> None:
        before = self._clock.now() - KEPT_SECONDS
        with self._store.transaction():
            self._store.run(
                "DELETE FROM event WHERE execution IN (SELECT id FROM execution WHERE stop_at < ?)", before
            )
            self._store.run("DELETE FROM execution WHERE stop_at < ?", before)
            forget_old(self._store, before)

    def announce(self) -> None:
        """Publish the final status of every execution whose event nobody could hear."""
        for row in self._store.rows(
            "SELECT * FROM execution WHERE announced = 0 AND status <> 'RUNNING' ORDER BY id"
        ):
            self._bus.publish(status_event(row))
            self._store.run("UPDATE execution SET announced = 1 WHERE id = ?", row["id"])

    async def _execute(self, row: Row, live: _Live) -> None:
        events: list[HistoryEvent] = []

        write = self._note(row["id"])

        def note(event: HistoryEvent) -> None:
            events[:] = [event]
            write(event)

        # The server ends: rules have no time left to act on it, so the event comes at the next start.
        result, heard = ExecutionResult("ABORTED", error=SHUTDOWN_ERROR, cause=SHUTDOWN_CAUSE), False
        try:
            result = await self._interpret(row, live.stop, note)
            heard = True
        finally:
            self._end(row, result, events[-1] if events else None, heard=heard)
            live.ended.set()
            self._live.pop(row["arn"], None)

    def _note(self, execution: int) -> Callable[[HistoryEvent], None]:
        def note(event: HistoryEvent) -> None:
            self._noted.set()
            self._unwritten.append(
                (
                    execution,
                    event.id,
                    event.previous_event_id,
                    event.timestamp,
                    event.type,
                    dumps(event.details),
                )
            )

        return note

    async def _interpret(self, row: Row, stop: Stop, note: Callable[[HistoryEvent], None]) -> ExecutionResult:
        if self.integrations is None:
            raise RuntimeError("no integrations were given")
        revision = self._store.row("SELECT definition, role FROM revision WHERE id = ?", row["revision"])
        if revision is None:
            raise LookupError(f"revision {row['revision']} vanished from the store")
        context = ExecutionContext(
            execution_arn=row["arn"],
            name=row["name"],
            role_arn=revision["role"],
            start_time=row["start_at"],
            state_machine_arn=row["version"] or row["machine"],
            state_machine_name=row["machine"].rpartition(":")[2],
            input=json.loads(row["input"]),
        )
        return await run(
            definitions.parse(revision["definition"]),
            context,
            self.integrations,
            clock=self._clock,
            on_event=note,
            tokens=self.tokens,
            random=self._random,
            stop=stop,
            map_runs=MapRunKeeper(self._store, row, note=self._note, flush=self.flush, trouble=_say),
        )

    def _end(self, row: Row, result: ExecutionResult, last: HistoryEvent | None, *, heard: bool) -> None:
        output = None
        if result.status == "SUCCEEDED":
            closing = {} if last is None else last.details.get("executionSucceededEventDetails", {})
            output = closing.get("output", dumps(result.output))
        try:
            self.flush()
            with self._store.transaction():
                self._close(
                    row, result, output, self._clock.now() if last is None else last.timestamp, heard=heard
                )
        except ApiError as error:
            # Nobody waits for an answer here. What the store still shows as RUNNING ends at the next start.
            _say(f"the end of {row['arn']} was not stored: {error.message}")
            return
        if heard:
            closed = self._store.row("SELECT * FROM execution WHERE id = ?", row["id"])
            if closed is not None:
                self._bus.publish(status_event(closed))

    def _close(
        self, row: Row, result: ExecutionResult, output: str | None, at: float, *, heard: bool = False
    ) -> None:
        self._store.run(
            "UPDATE execution SET status = ?, stop_at = ?, output = ?, error = ?, cause = ?, "
            "announced = max(announced, ?) "
            "WHERE id = ?",
            result.status,
            at,
            output,
            result.error,
            result.cause,
            int(heard),
            row["id"],
        )

    async def _write_down(self) -> None:
        """Keep little history in memory only, also of executions that wait for hours."""
        while True:
            await self._noted.wait()
            self._noted = trio.Event()
            await trio.sleep(_FLUSH_SECONDS)
            try:
                self.flush()
            except ApiError as error:
                _say(f"history was not stored: {error.message}")


def _say(what: str) -> None:
    print(f"nightlatch: {what}", file=sys.stderr)  # noqa: T201 - the server's own log
