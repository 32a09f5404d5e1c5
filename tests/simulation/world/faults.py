"""What goes wrong between a state machine, or a container, and a service."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import trio

from statemachine.interpreter import TaskRequest


@dataclass(frozen=True)
class Call:
    """One call of a service.

    Attributes:
        by: `execution name/state name`, or the task's name.
        service: `dynamodb`, `ecs`, `sfn`, `sns`.
        action: in camel case.
        operation: the lock operation if it is one (`claim`), else empty.
    """

    by: str
    service: str
    action: str

    @property
    def state(self) -> str:
        """The calling state."""
        return self.by.rpartition("/")[2]

    @classmethod
    def of(cls, request: TaskRequest) -> "Call":
        """The call that a Task state makes."""
        execution = request.execution_arn.rsplit(":", 1)[-1]
        return cls(f"{execution}/{request.state_name}", request.service, request.action)


Fault = Literal["none", "lost request", "lost reply", "doubled"]


class Faults(Protocol):
    """Decides about every call, every event and every delay."""

    def fault(self, call: Call) -> Fault:
        """What becomes of the call: the request is lost, or the reply, or it is carried out twice."""
        ...

    def delay(self, call: Call) -> float:
        """How long the service takes, in seconds."""
        ...

    def event_delays(self) -> list[float]:
        """When the status event of an ended execution arrives; several times or never."""
        ...

    def describe_lag(self) -> float:
        """How long DescribeExecution goes on to say RUNNING."""
        ...

    def list_lag(self) -> float:
        """How long ECS does not know a new task yet."""
        ...


@dataclass
class Planned:
    """No fault but those planned, one after another.

    Attributes:
        event_at: the delays of every status event.
    """

    event_at: list[float] = field(default_factory=lambda: [1.0])
    describe_after: float = 0.0
    list_after: float = 0.0
    _plans: list[tuple[Callable[[Call], bool], Fault]] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)

    def plan(self, fault: Fault, where: Callable[[Call], bool], times: int = 1) -> None:
        """The next calls that fit meet this fault."""
        self._plans.extend([(where, fault)] * times)

    def fault(self, call: Call) -> Fault:
        """As planned."""
        for index, (fits, fault) in enumerate(self._plans):
            if fits(call):
                del self._plans[index]
                self.happened.append(f"{fault}: {call.by}")
                return fault
        return "none"

    def delay(self, call: Call) -> float:
        """Services are quick."""
        return 0.02

    def event_delays(self) -> list[float]:
        """As set."""
        return list(self.event_at)

    def describe_lag(self) -> float:
        """As set."""
        return self.describe_after

    def list_lag(self) -> float:
        """As set."""
        return self.list_after


async def through(call: Call, faults: Faults) -> Fault:
    """The way to the service; says what is to become of the call."""
    await trio.sleep(faults.delay(call) / 2)
    return faults.fault(call)
