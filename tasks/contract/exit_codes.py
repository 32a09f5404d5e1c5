"""Exit codes between a job, the runtime and the state machine (numbers from BSD sysexits.h)."""

from typing import Final

DONE: Final = 0
# The arguments or the data are wrong: another attempt would end the same way.
WRONG_INPUT: Final = 64
# A defect in the job.
BUG: Final = 70
# The output cannot be written: disk full, access denied, no such bucket.
CANNOT_WRITE: Final = 73
# Something outside was not there for a moment, or the lock is another's by now: try again.
TRY_AGAIN: Final = 75
# Stopped by SIGTERM after a checkpoint. Without a stop from outside it means that the deadline was
# reached inside the container.
STOPPED: Final = 143
# Killed by SIGKILL: out of memory, or the stop grace was over.
KILLED: Final = 137

# The reason in the log line that goes with TRY_AGAIN when a claim or a fenced write is refused.
LOCK_LOST: Final = "LOCK_LOST"

MEANING: Final = {
    DONE: "done",
    WRONG_INPUT: "wrong input; never retried unless asked for",
    BUG: "a defect in the job",
    CANNOT_WRITE: "the output cannot be written (disk full, access denied, no such bucket)",
    TRY_AGAIN: "temporary; try again",
    KILLED: "killed (out of memory, or the stop grace was over)",
    STOPPED: "stopped after a checkpoint",
}


def from_signal(number: int) -> int:
    """The exit code of a process that signal `number` ended, as shells and ECS count it."""
    return 128 + number


def describe(code: int) -> str:
    """What `code` says about an attempt, in a few words."""
    known = MEANING.get(code)
    if known is not None:
        return known
    signals = range(129, 129 + 64)
    return f"ended by signal {code - 128}" if code in signals else "the job's own exit code"
