"""What the jobs of this image have in common as programs: arguments, SIGTERM, progress, exit codes."""

import argparse
import errno
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NoReturn

from tasks.contract import Assignment, AssignmentError, Progress, exit_codes, variables

# At most one progress line in this time, so that a log of a million steps stays readable.
_PROGRESS_PERIOD: Final = 1.0
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class JobError(Exception):
    """The job ends with `exit_code`; the text is the reason, on one line."""

    def __init__(self, reason: str, exit_code: int = exit_codes.WRONG_INPUT) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class StopRequest:
    """Whether SIGTERM has come. Made first of all, before the imports that take long."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (signal's interface)
        self.requested = True


class Parser(argparse.ArgumentParser):
    """Ends with the contract's exit code, and takes defaults from the run's parameters.

    A parameter of the run (``NIGHTLATCH_PARAMS``) with an option's name counts as that option; other
    parameters belong to other steps. The command line wins.
    """

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with 64."""
        self.print_usage(sys.stderr)
        self.exit(exit_codes.WRONG_INPUT, f"{self.prog}: {message}\n")

    def read(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse the run's parameters, then the command line."""
        given = list(sys.argv[1:] if arguments is None else arguments)
        known = self._option_string_actions
        params = Assignment.read(os.environ).params
        from_params = [f"--{name}={value}" for name, value in sorted(params.items()) if f"--{name}" in known]
        return self.parse_args([*from_params, *given])


class ProgressLines:
    """Prints progress lines, at most one a second, and the last one of a phase."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._printed = float("-inf")
        self._phase = ""
        self._began = 0.0
        self._before = 0

    def show(self, phase: str, done: int, total: int = 0, message: str = "", *, last: bool = False) -> None:
        """Tell how far `phase` is; `rate` is counted from its beginning."""
        now = self._clock()
        if phase != self._phase:
            self._phase, self._began, self._before = phase, now, done
            self._printed = float("-inf")
        if not last and now - self._printed < _PROGRESS_PERIOD:
            return
        self._printed = now
        gone = now - self._began
        rate = (done - self._before) / gone if gone > 0 else None
        say(Progress(done, total, phase, message, rate).line())


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def directory_option(parser: argparse.ArgumentParser, option: str, variable: str, hint: str) -> None:
    """An option whose default is one of the contract's directories."""
    parser.add_argument(
        option, default=os.environ.get(variable, ""), metavar="DIR", help=f"{hint} (default: ${variable})"
    )


def deadline_of_environment() -> float | None:
    """When the attempt ends, in epoch seconds, or None."""
    return Assignment.read(os.environ).deadline


def run_program(job: Callable[[StopRequest], int]) -> NoReturn:
    """Run a job and end the process with the contract's exit code and, if it failed, one line why."""
    stop = StopRequest()
    try:
        code = job(stop)
    except (JobError, AssignmentError) as error:
        code = error.exit_code if isinstance(error, JobError) else exit_codes.WRONG_INPUT
        _complain(str(error))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = f" ({error.filename})" if error.filename else ""
        _complain(f"cannot write{where}: {error.strerror}")
        code = exit_codes.CANNOT_WRITE
    except json.JSONDecodeError as error:
        _complain(f"a file that this job wrote before is damaged: {error}")
        code = exit_codes.TRY_AGAIN
    except Exception:  # noqa: BLE001  (a defect: its trace belongs into the log, with 70 and not with 1)
        traceback.print_exc()
        code = exit_codes.BUG
    sys.exit(code)


def _complain(reason: str) -> None:
    sys.stderr.write(reason.replace("\n", " ") + "\n")
    sys.stderr.flush()


__all__ = [
    "JobError",
    "Parser",
    "ProgressLines",
    "StopRequest",
    "deadline_of_environment",
    "directory_option",
    "run_program",
    "say",
    "variables",
]
