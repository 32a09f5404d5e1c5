"""Why the runtime itself ends an attempt, each with its exit code and one line for a person."""

from tasks.contract import exit_codes


class RuntimeFailure(Exception):  # noqa: N818  (the subclasses are errors; this is what they have in common)
    """The attempt ends here with `exit_code`; the text is the reason, on one line."""

    exit_code: int = exit_codes.BUG


class TemporaryError(RuntimeFailure):
    """Something outside did not answer; another attempt may do better."""

    exit_code = exit_codes.TRY_AGAIN


class LockLostError(RuntimeFailure):
    """The grant, or a fenced write, was refused: somebody else may be the holder by now."""

    exit_code = exit_codes.TRY_AGAIN

    def __init__(self, reason: str) -> None:
        super().__init__(f"{exit_codes.LOCK_LOST}: {reason}")


class CannotWriteError(RuntimeFailure):
    """The place to write to is full, missing or forbidden; another attempt would meet the same."""

    exit_code = exit_codes.CANNOT_WRITE


class WrongInputError(RuntimeFailure):
    """The command line or the environment is wrong."""

    exit_code = exit_codes.WRONG_INPUT


class StoppedEarly(BaseException):
    """SIGTERM came before the job was started.

    Not an Exception, because botocore turns every Exception under it into a failed request of its own.
    """

    exit_code: int = exit_codes.STOPPED
