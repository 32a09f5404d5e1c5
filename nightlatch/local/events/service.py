from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.bus import service_event
from nightlatch.local.events.definitions import Rule, read_rules, read_schedules, schedule_timer
from nightlatch.local.events.delivery import Attempt, Deliveries, Delivery, scheduled_text
from nightlatch.local.events.pattern import matches, parse_pattern
from nightlatch.local.events.put_events import put_events
from nightlatch.local.events.refusals import check_written
from nightlatch.local.events.store import Store
from nightlatch.local.events.timetable import Timer, Timetable
from nightlatch.local.events.transform import target_input

if TYPE_CHECKING:
    from pathlib import Path

    from nightlatch.local.aws import Caller
    from nightlatch.local.bus import EventBus
    from nightlatch.local.options import LocalOptions
    from statemachine.interpreter import Clock

LOOK_SECONDS = 30.0
"""Definitions are read again at least this often, should nobody tell of a change."""

_READS = ("Get", "List", "Describe", "PutEvents", "Test")
_log = structlog.get_logger(__name__)


class Events:
    """Schedules, rules and their targets. Built by `create`.

    Args:
        state: The state directory.
        region: Such as ``ap-northeast-1``.
        account: Twelve digits.
        aws: Reads the definitions, calls the targets.
        bus: Its events are matched against the rules.
        clock: The time of day.
        jitter: Spreads attempts of a delivery.
    """

    OPERATIONS = frozenset({"PutEvents", "TestEventPattern"})
    """The operations of the ``events`` API that are answered here; moto answers the others."""

    def __init__(
        self,
        *,
        state: Path,
        region: str,
        account: str,
        aws: Caller,
        bus: EventBus,
        clock: Clock,
        jitter: random.Random | None = None,
    ) -> None:
        self._region = region
        self._account = account
        self._aws = aws
        self._bus = bus
        self._clock = clock
        self._store = Store(state / "events.sqlite")
        self._timetable = Timetable(self._store, clock)
        self._deliveries = Deliveries(self._store, aws, clock, jitter or random.Random())
        self._rules: list[Rule] = []
        self._rule_timers: list[Timer] = []
        self._schedule_timers: list[Timer] = []
        self._stale = {"scheduler", "events"}
        self._changed = trio.Event()
        self._read_at = -LOOK_SECONDS
        self._under_way: Counter[str] = Counter()
        self._nursery: trio.Nursery | None = None
        self._reading = trio.Lock()

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``PutEvents`` or ``TestEventPattern``.

        Raises:
            ApiError: The refusal that EventBridge would give.
        """
        await trio.lowlevel.checkpoint()
        if operation == "PutEvents":
            return put_events(
                request, self._accept, account=self._account, region=self._region, now=self._clock.now()
            )
        if operation == "TestEventPattern":
            try:
                event = json.loads(request["Event"])
            except ValueError as error:
                raise ApiError("ValidationException", f"Event is not valid JSON: {error}.") from error
            return {"Result": matches(parse_pattern(request["EventPattern"]), event)}
        raise ApiError("InvalidAction", f"events:{operation} is answered by another part of the local AWS.")

    def on_write(self, service: str, operation: str, params: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's
        """Take note that a definition may have changed. Give this to ``Aws.on_write``."""
        if service in {"scheduler", "events"} and not operation.startswith(_READS):
            self._stale.add(service)
            self._changed.set()

    def check(self, service: str, operation: str, params: dict[str, Any]) -> None:
        """Refuse what AWS refuses when a schedule or rule is written.

        Raises:
            ApiError: ``ValidationException`` or ``InvalidEventPatternException``.
        """
        check_written(service, operation, params)

    async def fire(self, group: str, name: str, scheduled_time: str | None = None) -> dict[str, Any]:
        """Deliver a schedule now, on the same path as when its time comes.

        Args:
            group: The schedule group.
            name: The schedule.
            scheduled_time: ISO 8601 time that the delivery claims; now when absent.

        Returns:
            ``{"delivered": bool, "scheduled_time", "execution_id", "response" | "error"}`` after the first
            attempt; later attempts, if the policy allows them, go on behind.

        Raises:
            ApiError: No such schedule, or a time that is none.
        """
        if self._nursery is None:
            raise RuntimeError("Events.fire came before Events.run was started")
        timer = schedule_timer(
            await self._aws.call("scheduler", "GetSchedule", {"GroupName": group, "Name": name})
        )
        delivery = self._schedule_delivery(
            timer, _moment(scheduled_time, self._clock.now()), self._clock.now()
        )
        self._store.put_delivery(delivery.key, delivery.saved())
        attempts: list[Attempt] = []
        first = trio.Event()

        def on_attempt(attempt: Attempt) -> None:
            attempts.append(attempt)
            first.set()

        self._nursery.start_soon(self._deliveries.deliver, delivery, on_attempt)
        await first.wait()
        attempt = attempts[0]
        reply: dict[str, Any] = {
            "delivered": attempt.error is None,
            "scheduled_time": delivery.scheduled_time,
            "execution_id": attempt.execution_id,
        }
        if attempt.error is None:
            return {**reply, "response": attempt.response}
        return {**reply, "error": {"code": attempt.error.code, "message": attempt.error.message}}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fire schedules and serve rules until cancelled."""
        try:
            with self._bus.subscribe() as events:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    for saved in self._store.deliveries().values():
                        self._start(Delivery(**saved))
                    nursery.start_soon(self._keep_time)
                    task_status.started()
                    async for event in events:
                        await self._serve("default", event)
        finally:
            self._nursery = None
            self._store.close()

    async def _keep_time(self) -> None:
        while True:
            self._changed = trio.Event()
            if trio.current_time() - self._read_at >= LOOK_SECONDS:
                self._stale |= {"scheduler", "events"}
            await self._read_definitions()
            for timer, seconds, saved in self._timetable.due():
                deliveries = self._deliveries_of(timer, seconds)
                self._store.fired(timer.arn, saved, {one.key: one.saved() for one in deliveries})
                for delivery in deliveries:
                    self._start(delivery)
            await self._delete_finished()
            nap = min(LOOK_SECONDS, max(0.0, self._timetable.next_at() - self._clock.now()))
            with trio.move_on_after(nap):
                await self._changed.wait()

    async def _read_definitions(self) -> None:
        """Read what has changed; where reading fails, what is known stays and reading is tried again."""
        async with self._reading:
            stale, self._stale = self._stale, set()
            try:
                if "scheduler" in stale:
                    self._schedule_timers = await read_schedules(self._aws)
                if "events" in stale:
                    self._rules, self._rule_timers = await read_rules(self._aws)
            except ApiError as error:
                self._stale |= stale
                _log.warning("definitions not read yet", code=error.code, reason=error.message)
                return
            if stale:
                self._read_at = trio.current_time()
                self._timetable.replace([*self._schedule_timers, *self._rule_timers])

    def _deliveries_of(self, timer: Timer, seconds: float) -> list[Delivery]:
        if "Target" in timer.definition:
            return [self._schedule_delivery(timer, seconds, seconds)]
        event = self._event("aws.events", timer.arn, seconds)
        return self._rule_deliveries(timer.arn, timer.definition["Targets"], event)

    def _schedule_delivery(self, timer: Timer, seconds: float, begun: float) -> Delivery:
        target = timer.definition["Target"]
        payload = target.get("Input")
        if payload is None:
            # What a templated target gets when the schedule has no input (user guide, templated targets).
            event = self._event("aws.scheduler", timer.arn, seconds)
            payload = json.dumps({**event, "detail": "{}"})
        return Delivery(
            source_arn=timer.arn,
            target=target,
            payload=payload,
            begun=begun,
            scheduled_time=scheduled_text(seconds),
        )

    def _event(self, source: str, arn: str, seconds: float) -> dict[str, Any]:
        return service_event(
            source=source,
            detail_type="Scheduled Event",
            detail={},
            resources=[arn],
            account=self._account,
            region=self._region,
            at=seconds,
        )

    def _rule_deliveries(
        self, rule_arn: str, targets: list[dict[str, Any]], event: dict[str, Any]
    ) -> list[Delivery]:
        return [
            Delivery(rule_arn, target, target_input(target, event, rule_arn), self._clock.now())
            for target in targets
        ]

    async def _serve(self, bus: str, event: dict[str, Any]) -> None:
        """Match one event against the rules as they are now."""
        await self._read_definitions()
        for rule in self._rules:
            if rule.bus == bus and matches(rule.pattern, event):
                for delivery in self._rule_deliveries(rule.arn, rule.targets, event):
                    self._store.put_delivery(delivery.key, delivery.saved())
                    self._start(delivery)

    def _accept(self, bus: str, event: dict[str, Any]) -> None:
        if bus == "default":
            self._bus.publish(event)
        elif self._nursery is not None:
            self._nursery.start_soon(self._serve, bus, event)

    def _start(self, delivery: Delivery) -> None:
        """Begin to deliver what is on file."""
        if self._nursery is not None:
            self._under_way[delivery.source_arn] += 1
            self._nursery.start_soon(self._deliver, delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        await self._deliveries.deliver(delivery)
        self._under_way[delivery.source_arn] -= 1
        self._changed.set()

    async def _delete_finished(self) -> None:
        """Delete schedules that asked for it and have fired for the last time (``ActionAfterCompletion``)."""
        for timer in self._timetable.finished_timers():
            schedule = timer.definition
            if schedule.get("ActionAfterCompletion") != "DELETE" or self._under_way[timer.arn]:
                continue
            where = {"GroupName": schedule["GroupName"], "Name": schedule["Name"]}
            try:
                await self._aws.call("scheduler", "DeleteSchedule", where)
            except ApiError as error:
                _log.warning("schedule not deleted", schedule=timer.arn, code=error.code)
            self._stale.add("scheduler")


def create(options: LocalOptions, *, aws: Caller, bus: EventBus, clock: Clock) -> Events:
    """Build the service.

    Args:
        options: The server's options; ``state``, ``region``, ``account``.
        aws: Reads the definitions, calls the targets.
        bus: Its events are matched against the rules; PutEvents puts events on it.
        clock: The time of day; waiting is ``trio.sleep``, so both can be virtual.
    """
    return Events(
        state=options.state, region=options.region, account=options.account, aws=aws, bus=bus, clock=clock
    )


def _moment(text: str | None, now: float) -> float:
    if text is None:
        return now
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError(
            "ValidationException", f"{text!r} is not a time such as 2026-11-21T21:00:00Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
