"""A whole installation for acceptance tests: the local AWS, the command line, real processes, and a witness.

Everything is done as an operator does it: through the `nightlatch` command in a process of its own. What is
observed comes from outside the product: a ledger the containers write, and a kernel lock they hold.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from ruamel.yaml import YAML

from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
WORKER = ROOT / "tests" / "acceptance" / "programs" / "worker.py"
NIGHTLATCH = Path(sys.executable).with_name("nightlatch")
PATIENCE_SECONDS = 60

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, patience: float = PATIENCE_SECONDS) -> T:
    """Look again and again until something true is seen; fails by name when patience ends."""
    give_up = time.monotonic() + patience
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < give_up, f"waited {patience:g} s in vain for: {what}"
        time.sleep(0.05)


@dataclass
class Installation:
    """One local AWS with a catalogue of its own, in a directory of its own."""

    root: Path
    jobs: dict[str, Any] = field(default_factory=dict)
    up_options: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def jobs_file(self) -> Path:
        return self.root / "jobs.yaml"

    def ledger(self, job: str) -> Path:
        return self.root / f"{job}.ledger"

    def gate(self, job: str) -> Path:
        return self.root / f"{job}.gate"

    def add_job(
        self, name: str, *steps: dict[str, Any], lock: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """Declare a job; a step without a command runs the watched worker with its `worker` arguments."""
        written = []
        for index, step in enumerate(steps or ({},)):
            given = dict(step)
            arguments = given.pop("worker", [])
            given.setdefault("name", f"step-{index + 1}" if index else "work")
            given.setdefault("command", self.worker(name, *arguments))
            given.setdefault("timeout_minutes", 1)
            given.setdefault("stop_grace_seconds", 2)
            written.append(given)
        self.jobs[name] = {"lock": lock or {"key": name}, "steps": written, **more}

    def worker(self, job: str, *arguments: str) -> list[str]:
        # Beside the ledger: a volume that a task definition mounts over /tmp hides a project there.
        program = self.root / WORKER.name
        if not program.exists():
            shutil.copy(WORKER, program)
        return ["--", "python", str(program), str(self.ledger(job)), *map(str, arguments)]

    def write_jobs(self) -> None:
        yaml = YAML()
        yaml.representer.ignore_aliases = lambda _: True
        shipped = yaml.load((ROOT / "jobs.yaml").read_text())
        shipped["jobs"] = self.jobs
        shipped["defaults"]["step"]["retry_wait"] = {"first_seconds": 1, "rate": 1, "max_seconds": 1}
        with self.jobs_file.open("w") as out:
            yaml.dump(shipped, out)

    def environment(self) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "NIGHTLATCH_"))
        }
        return kept | {"NIGHTLATCH_STATE": str(self.state), "NO_COLOR": "1", "COLUMNS": "100"}

    def cli(
        self, *arguments: str, expect: int | None = 0, timeout: float = 90
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [NIGHTLATCH, *arguments],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if expect is not None:
            assert done.returncode == expect, (
                f"nightlatch {' '.join(arguments)}\nexit {done.returncode}, expected {expect}\n"
                f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
            )
        return done

    def cli_json(self, *arguments: str, expect: int | None = 0) -> Any:
        return json.loads(self.cli(*arguments, "-o", "json", expect=expect).stdout)

    def start_cli(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [NIGHTLATCH, *arguments],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def up(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.write_jobs()
        self.cli("local", "up", "--detach", "--port", "0", "--state", str(self.state), *self.up_options)

    def endpoint(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state / "endpoint.json").read_text())
        return found

    def down(self) -> None:
        self.cli("local", "down", "--state", str(self.state), expect=None)

    def kill_server(self) -> None:
        """kill -9 of the local AWS: no warning, no farewell."""
        pid = self.endpoint()["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid), f"process {pid} to be gone")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint()["url"],
            region_name="ap-northeast-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def bucket(self) -> str:
        found: str = self.client("s3").list_buckets()["Buckets"][0]["Name"]
        return found

    def output(self, job: str, step: str) -> dict[str, bytes]:
        """The files of a step's newest output, by their names."""
        s3, bucket, folder = self.client("s3"), self.bucket(), f"outputs/{job}/{step}/"
        manifest = json.loads(s3.get_object(Bucket=bucket, Key=folder + "current.json")["Body"].read())
        return {
            file["name"]: s3.get_object(Bucket=bucket, Key=folder + file["key"])["Body"].read()
            for file in manifest["files"]
        }

    def events(self, job: str) -> list[dict[str, Any]]:
        """What the containers of a job wrote, in order."""
        ledger = self.ledger(job)
        return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []

    def started(self, job: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until that many containers of the job have begun to work."""

        def begun() -> list[dict[str, Any]] | None:
            seen = [event for event in self.events(job) if event["event"] == "start"]
            return seen if len(seen) >= times else None

        return until(begun, f"{times} container(s) of {job} to start working")

    def lock(self, key: str) -> dict[str, Any]:
        """The lock row as DynamoDB has it ({} where there is none)."""
        table = self.client("dynamodb")
        row: dict[str, Any] = table.get_item(
            TableName="nightlatch-local-locks", Key={"lock_key": {"S": key}}, ConsistentRead=True
        ).get("Item", {})
        return row

    def lock_is_free(self, key: str) -> bool:
        return "holder" not in self.lock(key)

    def assert_never_two_at_once(self, job: str) -> None:
        """The witness's verdict: no overlap, and tokens only grew."""
        events = self.events(job)
        tokens = [event["token"] for event in events if event["event"] == "start"]

        assert [event for event in events if event["event"] == "overlap"] == []
        assert tokens == sorted(set(tokens)), "fencing tokens must strictly grow"
