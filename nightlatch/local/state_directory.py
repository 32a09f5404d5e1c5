from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO


class LocalStartError(Exception):
    """The local AWS cannot start; the text says why and what to do."""


class StateDirectory:
    """The directory that holds a local AWS, owned by one server at a time.

    Ownership is a lock of the operating system on a file: it ends with the process, however that dies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.endpoint_file = path / "endpoint.json"
        self.journal = path / "journal.sqlite"
        self.executions = path / "executions.sqlite"
        self._held: TextIO | None = None

    def acquire(self) -> None:
        """Take the directory, making it if needed.

        Raises:
            LocalStartError: Another server has it, or it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = (self.path / "server.lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise LocalStartError(
                f"The state directory {self.path} cannot be used: {error.strerror}. "
                "Choose another with --state."
            ) from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held.close()
            endpoint = read_endpoint(self.path)
            where = f" at {endpoint['url']} (process {endpoint['pid']})" if endpoint else ""
            raise LocalStartError(
                f"A local AWS is already running on {self.path}{where}. Use that one, stop it with "
                "`nightlatch local down`, or start another with a --state directory of its own."
            ) from error
        self._held = held
        # Whatever an earlier server wrote there is not true any more.
        self.endpoint_file.unlink(missing_ok=True)

    def announce(self, endpoint: dict[str, Any]) -> None:
        """Write where the server listens, in one step."""
        fresh = self.endpoint_file.with_suffix(".tmp")
        fresh.write_text(json.dumps(endpoint) + "\n", encoding="utf-8")
        fresh.replace(self.endpoint_file)

    def release(self) -> None:
        """Give the directory back."""
        self.endpoint_file.unlink(missing_ok=True)
        if self._held is not None:
            self._held.close()
            self._held = None


def read_endpoint(state: Path) -> dict[str, Any] | None:
    """Where the server of a state directory listens: ``url``, ``pid``, ``port``, ``started_at``.

    None when there is none, or when the one that wrote the file is dead.
    """
    try:
        endpoint = json.loads((state / "endpoint.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(endpoint, dict) or not isinstance(endpoint.get("pid"), int) or "url" not in endpoint:
        return None
    return endpoint if is_running(state) else None


def is_running(state: Path) -> bool:
    """Whether a server holds this state directory."""
    try:
        probe = os.open(state / "server.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(probe)
    return False
