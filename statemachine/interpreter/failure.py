"""How a state fails: AWS's error names and which of them a Retry or Catch may match."""

from collections.abc import Iterable

ALL = "States.ALL"
TASK_FAILED = "States.TaskFailed"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
RUNTIME = "States.Runtime"
DATA_LIMIT = "States.DataLimitExceeded"
QUERY_EVALUATION = "States.QueryEvaluationError"
NO_CHOICE_MATCHED = "States.NoChoiceMatched"
BRANCH_FAILED = "States.BranchFailed"

ERROR_LIMIT = 256
CAUSE_LIMIT = 32_768


class StateFailedError(Exception):
    """A state failed; Retry and Catch have their say, then the execution fails.

    Attributes:
        error: the error name, or None (SendTaskFailure without an error).
        cause: text, or None where AWS gives none (`States.Timeout`).
        also: another name that handlers may match: a missed heartbeat is recorded as States.Timeout, the
            guide names it States.HeartbeatTimeout.
    """

    def __init__(self, error: str | None, cause: str | None = None, *, also: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = None if error is None else error[:ERROR_LIMIT]
        self.cause = None if cause is None else cause[:CAUSE_LIMIT]
        self.also = also

    def output(self) -> dict[str, str | None]:
        """What `$states.errorOutput` shows."""
        if self.error is None:
            return {"Error": None, "Cause": None}
        return {"Error": self.error} if self.cause is None else {"Error": self.error, "Cause": self.cause}


class EventLimitReachedError(Exception):
    """The history is full. Nothing catches this: the execution fails."""


def matches(error_equals: Iterable[str], failure: StateFailedError) -> bool:
    """Whether a retrier's or catcher's ErrorEquals covers a failure.

    `States.ALL` does not match States.DataLimitExceeded and States.Runtime; `States.TaskFailed` matches
    everything but States.Timeout (Step Functions guide, "Handling errors"). States.Runtime always fails the
    execution, whatever is named. Histories recorded in 2024 show States.ALL catching DataLimitExceeded after
    all; the guide's rule is the harsher one, so it is the one to test definitions against. For the same
    reason States.TaskFailed leaves DataLimitExceeded alone here.
    """
    error = failure.error
    if error == RUNTIME:
        return False
    for name in error_equals:
        if name == error or (failure.also is not None and name == failure.also):
            return True
        if name == ALL and error != DATA_LIMIT:
            return True
        if name == TASK_FAILED and error not in {TIMEOUT, DATA_LIMIT}:
            return True
    return False
