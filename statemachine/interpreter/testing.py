"""Scripted integrations, for tests and simulations of definitions.

services = ScriptedIntegrations()
services.on("Acquire", reply={"Attributes": {…}})
services.on("Run job", work=Work(seconds=900, result={"LastStatus": "STOPPED"}), times=1)
services.on("Run job", work=Work(seconds=math.inf, stop_seconds=30))
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from statemachine.interpreter.integration import TaskFailed, TaskRequest

Answer = Any | Callable[[TaskRequest], Any]


@dataclass(frozen=True)
class Work:
    """What lies behind a `.sync` task.

    Attributes:
        seconds: how long it takes; `math.inf` hangs for ever.
        result: what the state gets, or a TaskFailed to raise, or a function of the request.
        stop_seconds: how long it takes to be gone after it was asked to stop.
    """

    seconds: float = 0.0
    result: Answer = field(default_factory=dict)
    stop_seconds: float = 0.0


@dataclass
class Call:
    """One call that an execution made.

    Attributes:
        submitted_at, ended_at, stop_asked_at, gone_at: trio times; None where it did not happen.
    """

    request: TaskRequest
    submitted_at: float
    ended_at: float | None = None
    stop_asked_at: float | None = None
    gone_at: float | None = None
    work: Work | None = None

    @property
    def running(self) -> bool:
        """Whether work was started that is not gone yet."""
        return self.work is not None and self.ended_at is None and self.gone_at is None


@dataclass
class _Script:
    reply: Answer
    work: Work
    seconds: float
    left: float


class ScriptedIntegrations:
    """Answers the calls of each state from a script, in the order in which the answers were given.

    Attributes:
        calls: every call, in order.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._scripts: dict[str, list[_Script]] = {}

    def on(
        self,
        name: str,
        *,
        reply: Answer = None,
        work: Work | None = None,
        seconds: float = 0.0,
        times: float = math.inf,
    ) -> None:
        """Adds an answer for a state, or for an action such as `dynamodb:updateItem`.

        Args:
            name: the state's name or `service:action`; the state's name goes first.
            reply: the submit call's reply, a TaskFailed to raise, or a function of the request that gives
                either.
            work: for `.sync`: the work that the call starts.
            seconds: how long the call takes.
            times: how often this answer serves before the next one does.
        """
        script = _Script({} if reply is None else reply, work or Work(), seconds, times)
        self._scripts.setdefault(name, []).append(script)

    def calls_of(self, name: str) -> list[Call]:
        """The calls that a state made."""
        return [call for call in self.calls if call.request.state_name == name]

    async def submit(self, request: TaskRequest) -> Any:
        """See Integrations."""
        script = self._take(request)
        await trio.sleep(script.seconds)
        call = Call(request, trio.current_time())
        self.calls.append(call)
        reply = _answer(script.reply, request)
        if request.pattern in {"sync", "sync:2"}:
            call.work = script.work
        return reply

    async def wait(self, request: TaskRequest, submitted: Any) -> Any:  # noqa: ARG002 - the protocol's shape
        """See Integrations."""
        call = self._call(request)
        work = call.work or Work()
        await trio.sleep(max(0.0, call.submitted_at + work.seconds - trio.current_time()))
        call.ended_at = trio.current_time()
        return _answer(work.result, request)

    async def cancel(self, request: TaskRequest, submitted: Any) -> None:  # noqa: ARG002 - the protocol's shape
        """See Integrations."""
        call = self._call(request)
        call.stop_asked_at = trio.current_time()
        if call.running:
            await trio.sleep((call.work or Work()).stop_seconds)
            call.gone_at = trio.current_time()

    def _call(self, request: TaskRequest) -> Call:
        return next(call for call in self.calls if call.request is request)

    def _take(self, request: TaskRequest) -> _Script:
        for name in (request.state_name, f"{request.service}:{request.action}"):
            for script in self._scripts.get(name, []):
                if script.left > 0:
                    script.left -= 1
                    return script
        raise TaskFailed(
            "Script.Exhausted", f"no answer is scripted for state {request.state_name!r} ({request.resource})"
        )


def _answer(answer: Answer, request: TaskRequest) -> Any:
    value = answer(request) if callable(answer) else answer
    if isinstance(value, TaskFailed):
        raise value
    return value
