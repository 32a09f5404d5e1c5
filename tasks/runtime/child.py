"""The job as a child process."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Final

from tasks.contract import exit_codes
from tasks.runtime.failures import WrongInputError
from tasks.runtime.output import Output, Relay

# How long to wait for the rest of the output after the job has ended: a grandchild may hold the pipe open.
_OUTPUT_TAIL: Final = 1.0


class Child:
    """The running job: in our process group, its standard output through us, its standard error ours."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], output: Output, on_exit: Callable[[], None]
    ) -> None:
        """Start `command`; `on_exit` is called from a thread when it has ended.

        Raises:
            WrongInputError: if the command cannot be started.
        """
        sys.stdout.flush()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env=dict(environment),
                bufsize=0,
            )
        except OSError as error:
            raise WrongInputError(f"cannot start {command[0]!r}: {error.strerror or error}") from None
        assert self._process.stdout is not None  # noqa: S101  (a pipe was asked for)
        self.relay = Relay(self._process.stdout.fileno(), output)
        self.relay.start()
        self._on_exit = on_exit
        threading.Thread(target=self._wait, name="child", daemon=True).start()

    def _wait(self) -> None:
        self._process.wait()
        self._on_exit()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if the job has ended."""
        self._process.send_signal(number)

    @property
    def died_of_a_signal(self) -> bool:
        """Whether it ended without ending itself."""
        return (self._process.returncode or 0) < 0

    def exit_code(self) -> int:
        """The exit code as ECS counts it (128 + n for signal n); waits for the last lines of output."""
        code = self._process.wait()
        self.relay.finish(_OUTPUT_TAIL)
        return exit_codes.from_signal(-code) if code < 0 else code


def child_environment(base: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """What the job sees: everything we see, the contract's additions, and unbuffered Python output.

    Without the last a Python job's progress would arrive in blocks of 8 kB, minutes late.
    """
    return {"PYTHONUNBUFFERED": "1", **base, **added}
