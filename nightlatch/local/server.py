from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local import ecs as ecs_service
from nightlatch.local import events as events_service
from nightlatch.local.aws import Aws
from nightlatch.local.bus import EventBus
from nightlatch.local.http.app import App
from nightlatch.local.http.listener import bind, serve_http
from nightlatch.local.http.message import HttpReply, HttpRequest, json_reply
from nightlatch.local.moto.bridge import MotoBridge
from nightlatch.local.own_pages import OwnPages
from nightlatch.local.stage import Stage
from nightlatch.local.state_directory import StateDirectory
from nightlatch.local.stepfunctions import StepFunctions
from nightlatch.local.stepfunctions.external import ExternalStates
from statemachine.interpreter import SystemClock

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from nightlatch.local.options import LocalOptions


async def serve(
    options: LocalOptions, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run the local AWS until cancelled.

    ``task_status`` is started with the endpoint's URL once every service has its state back.
    When cancelled, running executions end as ABORTED after their tasks were stopped (SIGTERM,
    ``stopTimeout``, SIGKILL); their status events reach the rules at the next start.

    Raises:
        LocalStartError: The state directory or the port is taken.
    """
    with ExitStack() as held:
        state = StateDirectory(options.state)
        state.acquire()
        held.callback(state.release)
        listener = held.enter_context(bind(options.port))
        await _Server(options, state, listener).run(task_status)


async def serve_until_signal(options: LocalOptions) -> None:
    """Run the local AWS until SIGTERM or SIGINT, and say on stderr where it listens.

    The first signal ends it in order, which may take the jobs' ``stopTimeout``; a second one ends it at once.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        serving = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, signals, serving)
            with serving:
                async with trio.open_nursery() as server:
                    url = await server.start(partial(serve, options))
                    _say(f"local AWS ready at {url} (state in {options.state})")
            nursery.cancel_scope.cancel()


async def _stop_on_signal(signals: AsyncIterator[int], serving: trio.CancelScope) -> None:
    number = await anext(signals)
    _say(f"{signal.Signals(number).name}: stopping jobs and closing; once more to end at once")
    serving.cancel()
    number = await anext(signals)
    # Nothing is lost by this: it is what the journal is for.
    os._exit(128 + number)


def _say(text: str) -> None:
    print(f"nightlatch: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the server's own log


class _Server:
    def __init__(self, options: LocalOptions, state: StateDirectory, listener: socket.socket) -> None:
        self._listener = listener
        self._state = state
        self.port = int(listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready = trio.Event()
        self._started_at = time.time()
        clock, self._bus = SystemClock(), EventBus()
        self._moto = MotoBridge(
            state.journal, account=options.account, region=options.region, host=f"127.0.0.1:{self.port}"
        )
        self._aws = Aws(self._moto)
        self._ecs = ecs_service.create(options, endpoint=self.url, aws=self._aws, bus=self._bus, clock=clock)
        self._events = events_service.create(options, aws=self._aws, bus=self._bus, clock=clock)
        self._states: StepFunctions | None = None
        if options.states_endpoint is None:
            self._states = StepFunctions(
                state.executions,
                region=options.region,
                account=options.account,
                aws=self._aws,
                bus=self._bus,
                clock=clock,
                tasks=self._ecs,
            )
            self._aws.provide("stepfunctions", self._states)
        else:
            self._aws.provide("stepfunctions", ExternalStates(options.states_endpoint, options.region))
        self._aws.provide("ecs", self._ecs)
        self._aws.provide("events", self._events, self._events.OPERATIONS)
        self._moto.on_write(self._aws.written)
        self._aws.on_write(self._events.on_write)

    async def run(self, task_status: trio.TaskStatus[str]) -> None:
        """Start everything in the order in which one needs the other, and end it the other way round."""
        own = OwnPages(ready=self._ready, details=self._details, fire=self._events.fire)
        app = App(
            aws=self._aws,
            moto=self._moto,
            ready=self._ready,
            own=own.answer,
            metadata=self._metadata,
            check=self._events.check,
        )
        web, tasks, rules, runs = Stage(), Stage(), Stage(), Stage()
        try:
            async with trio.open_nursery() as nursery:
                try:
                    # Answers the health page from here on; all else waits until everything is ready.
                    await nursery.start(web.run, partial(serve_http, app, self._listener))
                    await nursery.start(tasks.run, self._ecs.run)
                    if self._states is not None:
                        await nursery.start(runs.run, self._states.run)
                    await self._moto.load()
                    await nursery.start(rules.run, self._events.run)
                    if self._states is not None:
                        self._states.announce()
                    self._state.announce(
                        {
                            "url": self.url,
                            "pid": os.getpid(),
                            "port": self.port,
                            "started_at": self._started_at,
                        }
                    )
                    self._ready.set()
                    task_status.started(self.url)
                    await trio.sleep_forever()
                finally:
                    for stage in (runs, rules, tasks, web):
                        await stage.end()
        finally:
            if self._states is not None:
                self._states.close()
            await self._moto.close()

    def _details(self) -> dict[str, Any]:
        aborted = self._states.aborted if self._states is not None else 0
        return {"url": self.url, "replayed_requests": self._moto.replayed, "aborted_executions": aborted}

    async def _metadata(self, request: HttpRequest) -> HttpReply:
        status, body = self._ecs.metadata(request.path)
        return json_reply(body, status=status)
