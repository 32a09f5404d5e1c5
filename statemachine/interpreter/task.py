"""Task states: one call of an integration, its patterns and timeouts, and what becomes of cancelled work."""

import logging
from collections.abc import Awaitable
from typing import Any

import trio

from statemachine.interpreter.expression import NotJsonError, plain
from statemachine.interpreter.failure import HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT, StateFailedError
from statemachine.interpreter.fields import MAX_SECONDS
from statemachine.interpreter.handling import with_handlers
from statemachine.interpreter.integration import TaskFailed, TaskRequest
from statemachine.interpreter.states import Task
from statemachine.interpreter.tokens import PendingTask
from statemachine.interpreter.visit import Payload, Run, Visit, dumps, payload

_LOG = logging.getLogger(__name__)
_NOT_SUBMITTED = object()


async def run_task(visit: Visit, state: Task) -> str | None:
    """Runs a Task state and returns the next state's name."""

    async def attempt(visit: Visit) -> None:
        pending = None
        if state.resource.pattern != "request_response":
            pending = visit.run.tokens.open(visit.run.random)
            visit.context["Task"] = {"Token": pending.token}
        try:
            result = await _Attempt(visit, state, pending).run()
        finally:
            if pending is not None:
                visit.run.tokens.close(pending)
        visit.leave(visit.depart(result, state.assign, state.output, result=result.value))

    return await with_handlers(visit, state, attempt)


class _Attempt:
    """One try of a Task state, from TaskScheduled to its end."""

    def __init__(self, visit: Visit, state: Task, pending: PendingTask | None) -> None:
        self._visit = visit
        self._run: Run = visit.run
        self._state = state
        self._pending = pending
        self._shown = {
            "resourceType": state.resource.shown_type,
            "resource": state.resource.shown_action,
        }

    async def run(self) -> Payload:
        """Returns the result.

        Raises:
            StateFailedError: the call or the work failed, or ran into a timeout.
        """
        visit, state = self._visit, self._state
        given = visit.given
        if state.arguments is not None:
            given = payload(visit.evaluate(state.arguments), state.name)
        timeout = heartbeat = None
        if state.timeout is not None:
            timeout = visit.whole_number(state.timeout, "TimeoutSeconds", 1, MAX_SECONDS)
        if state.heartbeat is not None:
            heartbeat = visit.whole_number(state.heartbeat, "HeartbeatSeconds", 1, MAX_SECONDS)
        self._emit(
            "Scheduled",
            region=self._run.context.execution_arn.split(":", 4)[3],
            parameters=given.text,
            timeoutInSeconds=timeout,
            heartbeatInSeconds=heartbeat,
        )
        self._emit("Started")
        request = TaskRequest(
            resource=state.resource.arn,
            service=state.resource.service,
            action=state.resource.action,
            sdk=state.resource.sdk,
            pattern=state.resource.pattern,
            arguments=given.value,
            execution_arn=self._run.context.execution_arn,
            state_name=state.name,
            token=None if self._pending is None else self._pending.token,
        )
        return await self._timed(request, timeout, heartbeat)

    async def _timed(self, request: TaskRequest, seconds: int | None, heartbeat: int | None) -> Payload:
        try:
            # The clock of TimeoutSeconds starts with TaskStarted, so provisioning counts.
            with trio.CancelScope() as limit:
                if seconds is not None:
                    limit.deadline = trio.current_time() + seconds
                result = await self._call(request, heartbeat, limit)
                shown = payload(result, self._state.resource.service)
                self._emit("Succeeded", output=shown.text, outputDetails={"truncated": False})
                return shown
        except TaskFailed as failed:
            self._emit("Failed", error=failed.error, cause=failed.cause)
            raise StateFailedError(failed.error, failed.cause) from failed
        except _SubmitFailedError as refused:
            failure = StateFailedError(refused.failed.error, refused.failed.cause)
            self._emit("SubmitFailed", error=failure.error, cause=failure.cause)
            raise failure from refused.failed
        except _HeartbeatMissedError:
            self._emit("TimedOut", error=TIMEOUT)
            raise StateFailedError(TIMEOUT, also=HEARTBEAT_TIMEOUT) from None
        except StateFailedError as too_large:
            self._emit("Failed", error=too_large.error, cause=too_large.cause)
            raise
        self._emit("TimedOut", error=TIMEOUT)
        raise StateFailedError(TIMEOUT)

    async def _call(self, request: TaskRequest, heartbeat: int | None, limit: trio.CancelScope) -> Any:
        if request.pattern == "request_response":
            return await guarded(self._run.integrations.submit(request), request)
        submitted: Any = _NOT_SUBMITTED
        works = request.pattern in {"sync", "sync:2"}
        try:
            # Without the reply nobody could stop the work, so this call is never cut off.
            with trio.CancelScope(shield=works):
                try:
                    submitted = await guarded(self._run.integrations.submit(request), request)
                except TaskFailed as failed:
                    raise _SubmitFailedError(failed) from failed
            self._emit("Submitted", output=dumps(submitted), outputDetails={"truncated": False})
            return await self._outcome(request, submitted, heartbeat, works=works)
        except BaseException as error:
            # A failure that the work or its token reported means that the work has ended; our own does not.
            ended = isinstance(error, TaskFailed) and error.error != RUNTIME
            if works and submitted is not _NOT_SUBMITTED and not ended:
                on_time = limit.cancel_called or isinstance(error, _HeartbeatMissedError)
                await self._stop(request, submitted, after_timeout=on_time)
            raise

    async def _outcome(
        self, request: TaskRequest, submitted: Any, heartbeat: int | None, *, works: bool
    ) -> Any:
        """Whatever comes first: the work's end, the token's answer, or a missed heartbeat."""
        pending = self._pending
        assert pending is not None  # noqa: S101 - every pattern but request-response has a token
        if not works and heartbeat is None:
            return await pending.answer()
        answers: list[Any] = []
        failures: list[Exception] = []
        async with trio.open_nursery() as nursery:

            async def race(contender: Awaitable[Any]) -> None:
                try:
                    answers.append(await contender)
                except Exception as error:  # noqa: BLE001 - handed to the caller below
                    failures.append(error)
                nursery.cancel_scope.cancel()

            if works:
                nursery.start_soon(race, guarded(self._run.integrations.wait(request, submitted), request))
            nursery.start_soon(race, pending.answer())
            if heartbeat is not None:
                nursery.start_soon(race, _heart(pending, heartbeat))
        if answers:
            return answers[0]
        raise failures[0]

    async def _stop(self, request: TaskRequest, submitted: Any, *, after_timeout: bool) -> None:
        behaviour = self._run.behaviour
        choice = behaviour.on_task_timeout if after_timeout else behaviour.on_abort
        if choice == "abandon":
            return
        if choice == "stop" and self._run.background is not None:
            self._run.background.start_soon(self._drain, request, submitted)
            return
        await self._drain(request, submitted)

    async def _drain(self, request: TaskRequest, submitted: Any) -> None:
        with trio.CancelScope(shield=True):
            try:
                await self._run.integrations.cancel(request, submitted)
            except Exception:  # noqa: BLE001 - see below
                # Stopping is best effort on AWS as well; the state's own end must still be recorded.
                _LOG.exception("stopping the work of state %s failed", request.state_name)

    def _emit(self, event: str, **details: Any) -> None:
        self._visit.branch.emit(f"Task{event}", f"task{event}EventDetails", **self._shown, **details)


class _SubmitFailedError(Exception):
    def __init__(self, failed: TaskFailed) -> None:
        super().__init__(str(failed))
        self.failed = failed


class _HeartbeatMissedError(Exception):
    pass


async def _heart(pending: PendingTask, seconds: int) -> None:
    while True:
        left = pending.last_beat + seconds - trio.current_time()
        if left <= 0:
            raise _HeartbeatMissedError
        await trio.sleep(left)


async def guarded(call: Awaitable[Any], request: TaskRequest) -> Any:
    """A call into an integration, whose own faults must not take other executions down."""
    try:
        return plain(await call)
    except TaskFailed:
        raise
    except NotJsonError:
        raise TaskFailed(
            RUNTIME, f"The integration {request.resource} returned a value that is not JSON."
        ) from None
    except Exception as error:
        _LOG.exception("the integration %s failed in state %s", request.resource, request.state_name)
        cause = f"The integration {request.resource} failed: {type(error).__name__}: {error}"
        raise TaskFailed(RUNTIME, cause) from error
