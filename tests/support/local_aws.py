"""A local AWS in a process of its own, on a free port, that can be stopped, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "ap-northeast-1"
ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"
_ROOT = Path(__file__).parents[2]
_PATIENCE = 30.0


class LocalAws:
    """One local AWS on one state directory.

    Args:
        state: The directory that survives restarts.
        options: More command line options, such as ``["--image", "busybox=/opt/busybox"]``.
    """

    def __init__(self, state: Path, *options: str) -> None:
        self.state = state
        self.log = state.with_name(f"{state.name}.log")
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.url = ""

    def start(self) -> None:
        """Start it and wait until it is ready; the port stays the same over restarts."""
        command = [
            sys.executable,
            "-m",
            "nightlatch.local",
            "--port",
            str(self._port),
            "--state",
            str(self.state),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._options], cwd=_ROOT, env=clean_environment(), stdout=log, stderr=log
            )
        give_up = time.monotonic() + _PATIENCE
        while not (self.state / "endpoint.json").exists():
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"the local AWS did not start: {self.log.read_text(encoding='utf-8')}")
            time.sleep(0.01)
        endpoint = json.loads((self.state / "endpoint.json").read_text(encoding="utf-8"))
        self.url, self._port = endpoint["url"], endpoint["port"]

    def stop(self) -> int:
        """End it in order, as SIGTERM does, and return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as kill -9 does: whatever it was doing."""
        self._end(signal.SIGKILL)
        # What a dead server leaves must not be taken for a living one by `start`.
        (self.state / "endpoint.json").unlink(missing_ok=True)

    def restart(self) -> None:
        """Stop in order and start again on the same state and port."""
        self.stop()
        self.start()

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise RuntimeError("the local AWS is not running")
        return self._process.pid

    def health(self) -> dict[str, Any]:
        """What the health page says."""
        with urllib.request.urlopen(f"{self.url}/_nightlatch/health", timeout=10) as reply:
            body: dict[str, Any] = json.load(reply)
        return body

    def client(self, service: Any, **config: Any) -> Any:
        """A boto3 client that retries nothing, so that a test sees every answer."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(**{"retries": {"total_max_attempts": 1}, "max_pool_connections": 64, **config}),
        )

    def environment(self) -> dict[str, str]:
        """The variables of a process that shall find only this AWS."""
        return {**clean_environment(), "AWS_ENDPOINT_URL": self.url}

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        status = self._process.wait(_PATIENCE)
        self._process = None
        return status


def clean_environment() -> dict[str, str]:
    """This process's environment with nothing in it that could lead to a real AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "NIGHTLATCH_"))}
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One local AWS for all tests of a worker: use names of your own, and leave it running."""
    server = LocalAws(tmp_path_factory.mktemp("local-aws") / "state")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_local_aws(tmp_path: Path) -> Iterator[LocalAws]:
    """A local AWS for one test, which may stop, kill and restart it."""
    server = LocalAws(tmp_path / "state")
    server.start()
    yield server
    server.stop()
