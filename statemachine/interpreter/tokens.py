"""Task tokens: how work outside an execution reports back to a waiting Task state."""

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import trio

from statemachine.interpreter.integration import TaskFailed

MAX_TOKEN = 1024

TokenErrorCode = Literal["InvalidToken", "TaskDoesNotExist", "TaskTimedOut", "InvalidOutput"]


class TokenError(Exception):
    """A SendTask call was refused.

    Attributes:
        code: the Step Functions API's error code.
    """

    def __init__(self, code: TokenErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class PendingTask:
    """A Task state that waits for its token.

    Attributes:
        answered: set when a result or failure has arrived.
        last_beat: trio time of the start or of the last heartbeat.
    """

    token: str
    last_beat: float = field(default_factory=trio.current_time)
    answered: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    failure: TaskFailed | None = None

    async def answer(self) -> Any:
        """Waits for SendTaskSuccess or SendTaskFailure.

        Raises:
            TaskFailed: SendTaskFailure was called.
        """
        await self.answered.wait()
        if self.failure is not None:
            raise self.failure
        return self.result


class TaskTokens:
    """All open tokens of one engine, shared by its executions.

    Not thread-safe: call it on the thread that runs the executions.
    """

    # Late callers must learn TaskTimedOut, the documented answer after the state has ended, but not for
    # ever: beyond this many the oldest are forgotten and answer TaskDoesNotExist.
    CLOSED_KEPT = 10_000

    def __init__(self) -> None:
        self._open: dict[str, PendingTask] = {}
        self._closed: dict[str, None] = {}

    def open(self, random: Random) -> PendingTask:
        """Issues a new token; the interpreter calls this when a task is scheduled."""
        pending = PendingTask(token=f"AQ{random.getrandbits(640):0160x}")
        self._open[pending.token] = pending
        return pending

    def close(self, pending: PendingTask) -> None:
        """Ends a token's life; later SendTask calls are refused with TaskTimedOut."""
        self._open.pop(pending.token, None)
        self._closed[pending.token] = None
        while len(self._closed) > self.CLOSED_KEPT:
            del self._closed[next(iter(self._closed))]

    def send_success(self, token: str, output_json: str) -> None:
        """SendTaskSuccess.

        Raises:
            TokenError: the token is not open, or the output is not JSON.
        """
        pending = self._pending(token)
        try:
            pending.result = json.loads(output_json)
        except ValueError as error:
            raise TokenError("InvalidOutput", f"The output of the task is not JSON: {error}") from error
        pending.answered.set()

    def send_failure(self, token: str, error: str | None = None, cause: str | None = None) -> None:
        """SendTaskFailure.

        Raises:
            TokenError: the token is not open.
        """
        pending = self._pending(token)
        pending.failure = TaskFailed(error, cause)
        pending.answered.set()

    def send_heartbeat(self, token: str) -> None:
        """SendTaskHeartbeat: puts the task's heartbeat clock back to zero.

        Raises:
            TokenError: the token is not open.
        """
        pending = self._pending(token)
        pending.last_beat = trio.current_time()

    def _pending(self, token: str) -> PendingTask:
        pending = self._open.get(token)
        if pending is not None and not pending.answered.is_set():
            return pending
        if pending is not None or token in self._closed:
            raise TokenError("TaskTimedOut", "Task Timed Out: Provided task does not exist anymore")
        if not token or len(token) > MAX_TOKEN:
            raise TokenError(
                "InvalidToken", "Invalid Token: the token is empty or longer than 1,024 characters"
            )
        raise TokenError("TaskDoesNotExist", "Task does not exist: no task of this engine has this token")
