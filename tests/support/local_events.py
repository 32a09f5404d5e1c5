"""The local EventBridge for tests: virtual time, definitions in a dictionary, recorded calls."""

from __future__ import annotations

import json
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from nightlatch.local.api_error import ApiError
from nightlatch.local.bus import EventBus
from nightlatch.local.events import Events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

REGION, ACCOUNT = "ap-northeast-1", "000000000000"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:nightlatch-test-nightly"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:letters"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:notifications"
UNIVERSAL = "arn:aws:scheduler:::aws-sdk:sfn:startExecution"


class VirtualClock:
    """A time of day that moves with trio's mock clock."""

    def __init__(self, start: datetime) -> None:
        self._offset = start.timestamp() - trio.current_time()

    def now(self) -> float:
        return self._offset + trio.current_time()


@dataclass(frozen=True)
class Call:
    """A target that was called, and when."""

    at: str
    service: str
    operation: str
    params: dict[str, Any]


class Definitions:
    """Scheduler and EventBridge as moto keeps them, and targets that record being called."""

    def __init__(self) -> None:
        self.schedules: dict[tuple[str, str], dict[str, Any]] = {}
        self.rules: dict[tuple[str, str], dict[str, Any]] = {}
        self.targets: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.calls: list[Call] = []
        self.refusals: list[ApiError] = []
        """Refusals of the next calls, of whatever kind."""
        self.refuse_executions: list[ApiError] = []
        """Refusals of the next StartExecutions."""
        self.clock: VirtualClock
        self.tell: Callable[[str, str, dict[str, Any]], None] = lambda *_: None

    def put_schedule(self, name: str, expression: str, *, group: str = "nights", **members: Any) -> None:
        now = self.clock.now()
        old = self.schedules.get((group, name), {})
        self.schedules[group, name] = {
            "Arn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{group}/{name}",
            "GroupName": group,
            "Name": name,
            "ScheduleExpression": expression,
            "State": "ENABLED",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "CreationDate": old.get("CreationDate", now),
            "Target": {"Arn": MACHINE, "RoleArn": "r", "Input": "{}"},
            **members,
        }
        self.tell("scheduler", "CreateSchedule", {})

    def put_rule(self, name: str, *targets: dict[str, Any], bus: str = "default", **members: Any) -> str:
        arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"
        pattern = members.get("EventPattern")
        if isinstance(pattern, dict):
            members["EventPattern"] = json.dumps(pattern)
        self.rules[bus, name] = {"Name": name, "Arn": arn, "State": "ENABLED", **members}
        self.targets[bus, name] = [{"Id": str(number), **target} for number, target in enumerate(targets)]
        self.tell("events", "PutRule", {})
        return arn

    def inputs(self) -> list[Any]:
        """The parsed inputs of the executions that were started."""
        return [json.loads(call.params["input"]) for call in self.calls if call.operation == "StartExecution"]

    def times(self) -> list[str]:
        return [call.at for call in self.calls]

    async def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        answer = getattr(self, f"_{operation.lower()}", None)
        if answer is not None:
            found: dict[str, Any] = answer(params)
            return found
        refusals = self.refusals or (self.refuse_executions if operation == "StartExecution" else [])
        if refusals:
            self.calls.append(self._recorded(service, f"refused {operation}", params))
            raise refusals.pop(0)
        self.calls.append(self._recorded(service, operation, params))
        return {"executionArn": "arn:execution"} if operation == "StartExecution" else {}

    def _recorded(self, service: str, operation: str, params: dict[str, Any]) -> Call:
        at = datetime.fromtimestamp(self.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Call(at, service, operation, params)

    def _listschedules(self, params: dict[str, Any]) -> dict[str, Any]:
        # Pages of two, so that paging is not forgotten.
        start = int(params.get("NextToken", 0))
        short = [{"GroupName": group, "Name": name} for group, name in self.schedules]
        more = {"NextToken": str(start + 2)} if len(short) > start + 2 else {}
        return {"Schedules": short[start : start + 2], **more}

    def _getschedule(self, params: dict[str, Any]) -> dict[str, Any]:
        key = (params["GroupName"], params["Name"])
        if key not in self.schedules:
            raise ApiError("ResourceNotFoundException", f"Schedule {key[1]} does not exist.", 404)
        return dict(self.schedules[key])

    def _deleteschedule(self, params: dict[str, Any]) -> dict[str, Any]:
        del self.schedules[params["GroupName"], params["Name"]]
        return {}

    def _listeventbuses(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"EventBuses": [{"Name": "default"}, {"Name": "other"}]}

    def _listrules(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"Rules": [rule for (bus, _), rule in self.rules.items() if bus == params["EventBusName"]]}

    def _listtargetsbyrule(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"Targets": self.targets[params["EventBusName"], params["Rule"]]}

    def _getqueueurl(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"QueueUrl": f"http://queue/{params['QueueName']}"}


@asynccontextmanager
async def firing(
    state: Path, definitions: Definitions, start: datetime | None = None
) -> AsyncIterator[tuple[Events, EventBus]]:
    """Run the service; a start sets the virtual time of day."""
    if start is not None:
        definitions.clock = VirtualClock(start)
    bus = EventBus()
    events = Events(
        state=state,
        region=REGION,
        account=ACCOUNT,
        aws=definitions,
        bus=bus,
        clock=definitions.clock,
        jitter=random.Random(1),
    )
    definitions.tell = events.on_write
    async with trio.open_nursery() as nursery:
        await nursery.start(events.run)
        yield events, bus
        nursery.cancel_scope.cancel()


def virtually(main: Callable[[], Awaitable[None]]) -> None:
    """Run under a clock that jumps to the next thing to do."""
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
