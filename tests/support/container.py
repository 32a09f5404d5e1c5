"""Containers as ECS starts them: one process for each attempt, with the contract's environment."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.contract import variables
from tests.support.lock_row import hold, lock_variables
from tests.support.moto_server import MotoServer

ROOT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, "-m", "tasks", "run"]


class Container:
    """One attempt in a process of its own, with what it printed."""

    def __init__(self, command: list[str], environment: dict[str, str], tmp_path: Path) -> None:
        self._log = tmp_path / f"{uuid.uuid4().hex}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, timeout: float = 30) -> int:
        return self.process.wait(timeout)

    @property
    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def records(self, event: str) -> list[dict[str, Any]]:
        found = []
        for line in self.text.splitlines():
            try:
                members = json.loads(line)
            except ValueError:
                continue
            if isinstance(members, dict) and members.get("event") == event:
                found.append(members)
        return found

    def until(self, seen: Callable[[], object], patience: float = 20) -> None:
        give_up = time.monotonic() + patience
        while not seen():
            assert time.monotonic() < give_up, self.text
            assert self.process.poll() is None or seen(), self.text
            time.sleep(0.02)


class Site:
    """Makes containers of one step that share lock, checkpoint and output."""

    def __init__(self, aws: MotoServer, metadata: str, tmp_path: Path) -> None:
        self._tmp_path = tmp_path
        self._name = uuid.uuid4().hex
        self._metadata = metadata
        self.aws = aws
        self.dynamodb = aws.client("dynamodb")
        self.s3 = aws.client("s3")
        self.checkpoint = f"s3://artifacts/checkpoints/{self._name}/"
        self.output = f"s3://artifacts/outputs/{self._name}/"
        self.key = self._name

    def hold(self, grant: str, fence: int) -> None:
        hold(self.dynamodb, self.key, grant=grant, fence=fence)

    def environment(self, *, grant: str, task: str = "t1", **more: str) -> dict[str, str]:
        return {
            **self.aws.environment(),
            **lock_variables(self.key, grant, f"{self._metadata}/{task}"),
            variables.JOB: "nightly",
            variables.RUN: "r1",
            variables.STEP: "work",
            variables.STOP_GRACE: "4",
            variables.CHECKPOINT: self.checkpoint,
            variables.OUTPUT: self.output,
            **more,
        }

    def start(self, *command: str, grant: str, task: str = "t1", **more: str) -> Container:
        words = [*RUN, "--", *command]
        return Container(words, self.environment(grant=grant, task=task, **more), self._tmp_path)

    def python(self, program: str, *, grant: str, task: str = "t1", **more: str) -> Container:
        return self.start(sys.executable, "-c", program, grant=grant, task=task, **more)

    def published(self) -> dict[str, bytes]:
        prefix = self.output.removeprefix("s3://artifacts/")
        body = self.s3.get_object(Bucket="artifacts", Key=prefix + "current.json")["Body"].read()
        return {
            file["name"]: self.s3.get_object(Bucket="artifacts", Key=prefix + file["key"])["Body"].read()
            for file in json.loads(body)["files"]
        }

    def checkpointed(self) -> list[str]:
        prefix = self.checkpoint.removeprefix("s3://artifacts/")
        try:
            body = self.s3.get_object(Bucket="artifacts", Key=prefix + "checkpoint.json")["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return []
        return sorted(json.loads(body)["files"])
