"""Start, find and stop the local AWS: a server process on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlatch.operations.errors import OperationError
from nightlatch.operations.runs import as_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

ENDPOINT_FILE = "endpoint.json"
LOG_FILE = "server.log"
_LOOK = 0.05
_LOG_LINES = 12


@dataclass(frozen=True)
class LocalServer:
    """The local AWS of one state folder.

    Attributes:
        running: Its process lives and its endpoint answers.
    """

    state: Path
    running: bool
    url: str | None = None
    pid: int | None = None
    port: int | None = None
    started_at: datetime | None = None


def read_server(state: Path) -> LocalServer:
    """The server of a state folder: where it is, and whether it answers."""
    written = _endpoint(state)
    if written is None:
        return LocalServer(state, running=False)
    pid = int(written.get("pid") or 0)
    url = str(written["url"])
    return LocalServer(
        state=state,
        running=_alive(pid) and _answers(url),
        url=url,
        pid=pid or None,
        port=int(written["port"]) if written.get("port") else None,
        started_at=_started(written.get("started_at")),
    )


def local_endpoint(state: Path) -> str:
    """The URL of the running local AWS.

    Raises:
        OperationError: None runs (LOCAL-001).
    """
    written = _endpoint(state)
    if written is None or not _alive(int(written.get("pid") or 0)):
        raise OperationError(
            "LOCAL-001",
            "the local AWS is not running",
            facts=[("state", str(state))],
            tries=["nightlatch local up --detach", "--env NAME for another environment"],
        )
    return str(written["url"])


def start_server(
    state: Path, options: Sequence[str], *, region: str | None, detach: bool
) -> subprocess.Popen[bytes]:
    """Start the server process, without waiting for it.

    Args:
        state: Its state folder.
        options: More options of `python -m nightlatch.local`.
        region: The region of its ARNs; None leaves it to the environment.
        detach: It outlives this process and writes to a log file; else it shares our terminal's stderr.

    Raises:
        OperationError: The extra `local` is not installed (LOCAL-003).
    """
    missing = [name for name in ("trio", "moto", "hypercorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise OperationError(
            "LOCAL-003",
            "the local AWS is not installed",
            facts=[("missing", ", ".join(missing))],
            tries=["pip install 'nightlatch[local]'"],
        )
    state.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "nightlatch.local", "--state", str(state), *options]
    with (state / LOG_FILE).open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log if detach else sys.stderr,
            stderr=log if detach else sys.stderr,
            # Ctrl-C in the terminal is ours to handle: it asks the server to end well.
            start_new_session=True,
            env={**os.environ, **({"AWS_DEFAULT_REGION": region} if region else {})},
        )


def wait_until_up(
    state: Path,
    process: subprocess.Popen[bytes],
    seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> LocalServer:
    """Wait until the server of this very process answers.

    Raises:
        OperationError: It ended, or did not answer in time (LOCAL-002).
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = process.poll()
        if status is not None:
            raise _did_not_start(state, f"the process ended with status {status}")
        found = read_server(state)
        if found.running and found.pid == process.pid:
            return found
        sleep(_LOOK)
    process.terminate()
    raise _did_not_start(state, f"no answer within {seconds:.0f} s")


def _did_not_start(state: Path, why: str) -> OperationError:
    log = state / LOG_FILE
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if log.is_file() else []
    facts = [("why", why), ("log", str(log))]
    if lines:
        facts.append(("says", "\n".join(lines)))
    return OperationError(
        "LOCAL-002", "the local AWS did not start", facts=facts, tries=["nightlatch local reset"]
    )


def stop_server(state: Path, seconds: float, *, sleep: Callable[[float], None] = time.sleep) -> LocalServer:
    """Ask the server to end (SIGTERM) and wait until its process is gone.

    Returns:
        The server as it was.

    Raises:
        OperationError: It still lives when the wait is over (LOCAL-002).
    """
    found = read_server(state)
    if found.pid is None or not _alive(found.pid):
        return found
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while _alive(found.pid):
        if time.monotonic() > deadline:
            raise OperationError(
                "LOCAL-002",
                f"the local AWS did not end within {seconds:.0f} s",
                facts=[("pid", str(found.pid))],
                tries=[f"kill -9 {found.pid}; its containers are reaped at the next start"],
            )
        sleep(_LOOK)
    return found


def remove_state(state: Path) -> None:
    """Delete the state folder of a server that does not run.

    Raises:
        OperationError: The folder is not one of ours, so nothing was deleted (USE-001).
    """
    if not state.exists():
        return
    known = {ENDPOINT_FILE, LOG_FILE}
    if any(state.iterdir()) and not any((state / name).exists() for name in known):
        raise OperationError(
            "USE-001",
            f"{state} does not look like a state folder of the local AWS",
            facts=[("expected", " or ".join(sorted(known)))],
        )
    shutil.rmtree(state)


def _endpoint(state: Path) -> dict[str, Any] | None:
    try:
        parsed = json.loads((state / ENDPOINT_FILE).read_text())
    except (OSError, ValueError):
        return None
    return parsed if isinstance(parsed, dict) and "url" in parsed else None


def _started(value: Any) -> datetime | None:
    if isinstance(value, (int, float)):
        # Seconds, unless it is too large to be a moment of this age.
        return as_moment(value if value > 1e11 else value * 1000)  # noqa: PLR2004
    return as_moment(value)


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        # Our own child that has ended stays a zombie until it is waited for.
        waited, _ = os.waitpid(pid, os.WNOHANG)
        if waited == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(url: str) -> bool:
    # Loopback only, and never through a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
