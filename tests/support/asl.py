"""Runs definitions under virtual time."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import trio
from trio.testing import MockClock

from statemachine.interpreter import (
    Behaviour,
    ExecutionContext,
    ExecutionResult,
    HistoryEvent,
    Machine,
    Stop,
    TaskTokens,
    TrioClock,
    run,
)
from statemachine.interpreter.testing import ScriptedIntegrations

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
EXECUTION = "arn:aws:states:ap-northeast-1:000000000000:execution:machine:run-1"
SYNC = "arn:aws:states:::ecs:runTask.sync"
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
CALL = "arn:aws:states:::dynamodb:getItem"


def definition(start: str, states: dict[str, Any], **top: Any) -> str:
    """The text of a JSONata machine."""
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": start, "States": states, **top})


def task(resource: str = CALL, **fields: Any) -> dict[str, Any]:
    """A Task state that ends its graph unless it has a Next."""
    flow = {} if "Next" in fields else {"End": True}
    return {"Type": "Task", "Resource": resource, **flow, **fields}


@dataclass
class Ran:
    """An execution and everything seen of it.

    Attributes:
        ended_at: virtual seconds from the start to the return of `run`.
    """

    result: ExecutionResult | None = None
    events: list[HistoryEvent] = field(default_factory=list)
    services: ScriptedIntegrations = field(default_factory=ScriptedIntegrations)
    tokens: TaskTokens = field(default_factory=TaskTokens)
    stop: Stop = field(default_factory=Stop)
    ended_at: float = -1.0

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def links(self) -> list[int]:
        return [event.previous_event_id for event in self.events]

    def details(self, event_type: str, nth: int = 0) -> dict[str, Any]:
        """The one details member of the nth event of a type."""
        event = [event for event in self.events if event.type == event_type][nth]
        return dict(next(iter(event.details.values()), {}))

    def at(self, event_type: str) -> list[float]:
        """When events of a type happened, in virtual seconds from the start."""
        return [event.timestamp - START for event in self.events if event.type == event_type]


def play(
    text: str,
    services: ScriptedIntegrations | None = None,
    *,
    given: Any = None,
    seed: int = 1,
    behaviour: Behaviour | None = None,
    meanwhile: Callable[[Ran], Awaitable[None]] | None = None,
) -> Ran:
    """Runs a definition to its end.

    Args:
        meanwhile: runs beside the execution, for instance to send tokens or to stop it.
    """
    ran = Ran(services=services or ScriptedIntegrations())
    machine = Machine.parse(text)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            if meanwhile is not None:
                nursery.start_soon(meanwhile, ran)
            began = trio.current_time()
            ran.result = await run(
                machine,
                context({} if given is None else given),
                ran.services,
                clock=TrioClock(START),
                on_event=ran.events.append,
                tokens=ran.tokens,
                random=Random(seed),
                stop=ran.stop,
                behaviour=behaviour,
            )
            ran.ended_at = trio.current_time() - began

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return ran


def context(given: Any) -> ExecutionContext:
    """The context of every test's execution."""
    return ExecutionContext(
        execution_arn=EXECUTION,
        name="run-1",
        role_arn="arn:aws:iam::000000000000:role/machine",
        start_time=START,
        state_machine_arn="arn:aws:states:ap-northeast-1:000000000000:stateMachine:machine",
        state_machine_name="machine",
        input=given,
    )
