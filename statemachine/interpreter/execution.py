"""One execution: what it is given, what it ends with, and how it is stopped."""

from dataclasses import dataclass
from typing import Any, Literal

import trio

Status = Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
Draining = Literal["drain", "stop", "abandon"]


@dataclass
class ExecutionContext:
    """What the context object shows of an execution.

    Attributes:
        start_time: seconds since the epoch.
        input: the parsed input.
    """

    execution_arn: str
    name: str
    role_arn: str
    start_time: float
    state_machine_arn: str
    state_machine_name: str
    input: Any


@dataclass(frozen=True)
class ExecutionResult:
    """How an execution ended.

    Attributes:
        output: the parsed output; None unless SUCCEEDED (it may then be JSON null).
        error: only for FAILED and ABORTED; a machine-level timeout has neither error nor cause.
        cause: the same.
    """

    status: Status
    output: Any = None
    error: str | None = None
    cause: str | None = None


class Stop:
    """StopExecution for one execution.

    `request` ends the execution: its tasks are stopped and drained, `ExecutionAborted` is written, and
    `run` returns the status ABORTED. Where the scope around `run` is cancelled instead, `run` does the same
    but lets the cancellation pass on.
    """

    def __init__(self) -> None:
        self.error: str | None = None
        self.cause: str | None = None
        self.requested = False
        self._scope: trio.CancelScope | None = None

    def request(self, error: str | None = None, cause: str | None = None) -> None:
        """Stops the execution. The first request counts.

        Args:
            error: at most 256 characters.
            cause: at most 32,768 characters.
        """
        if self.requested:
            return
        self.requested, self.error, self.cause = True, error, cause
        if self._scope is not None:
            self._scope.cancel()

    def bind(self, scope: trio.CancelScope) -> None:
        """Ties this stop to the scope that `run` opened."""
        self._scope = scope
        if self.requested:
            scope.cancel()


@dataclass(frozen=True)
class Behaviour:
    """Choices where AWS promises nothing, so that simulations can be harsher than the local default.

    AWS does not say whether the work of a `.sync` task is stopped when the state's own TimeoutSeconds
    passes, and stopping is best effort everywhere. Our definitions rely on neither.

    Attributes:
        on_task_timeout: after a task's own TimeoutSeconds or HeartbeatSeconds: `drain` stops the work and
            waits until it is gone before the state fails; `stop` stops it while the execution goes on at
            once; `abandon` leaves it running.
        on_abort: the same after StopExecution, the machine's timeout and a failed sibling.
    """

    on_task_timeout: Draining = "drain"
    on_abort: Draining = "drain"
