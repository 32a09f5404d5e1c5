"""The setting of the night: a clean directory, the jobs, the articles, the picture server, the local AWS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from ruamel.yaml import YAML

from nightlatch.installation import Installation
from nightlatch.local.night.stories import HANGING_JOB, KILLED_JOB, MAIN_JOB, StoryFailedError
from nightlatch.operations.clients import Clients
from nightlatch.operations.deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

_PROGRAMS = Path(__file__).with_name("programs")
_MARK = "NIGHTLATCH_NIGHT"
# The share of pictures that do not simply come.
_MISBEHAVING = "0.4"


@dataclass
class Setting:
    """Everything the night needs, set up on entering and taken down on leaving.

    Attributes:
        root: Where all of it lies; emptied at the beginning, kept at the end.
        jobs_file: The jobs of this installation.
        articles: A folder of HTML pages; the manual of a package when absent.
        keep: Leave the local AWS running afterwards.
    """

    root: Path
    jobs_file: Path
    articles: Path | None = None
    keep: bool = False
    pictures_url: str = ""
    _leaving: ExitStack = field(default_factory=ExitStack)

    @property
    def state(self) -> Path:
        """The local AWS's state directory."""
        return self.root / "aws"

    @property
    def night_jobs(self) -> Path:
        """The jobs file of this night: the installation's own, and the two jobs of the stories."""
        return self.root / "jobs.yaml"

    @property
    def database(self) -> str:
        """URL of the articles database."""
        return f"sqlite:///{self.root / 'articles.db'}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every program that the night starts."""
        ours = ("AWS_", "NIGHTLATCH_")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        bin_first = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", os.defpath)])
        return clean | {
            "PATH": bin_first,
            "NIGHTLATCH_STATE": str(self.state),
            "NIGHTLATCH_FILE": str(self.night_jobs),
            "ARTICLES_URL": self.database,
            _MARK: str(self.root),
        }

    def __enter__(self) -> Self:
        self._clear_leftovers()
        self.root.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def _clear_leftovers(self) -> None:
        """An earlier night may have been interrupted: end its processes, then its files."""
        for process in self._processes_of_an_earlier_night():
            process.kill()
        if self.root.exists():
            shutil.rmtree(self.root)

    def _processes_of_an_earlier_night(self) -> Iterator[psutil.Process]:
        own = os.getpid()
        for process in psutil.process_iter():
            try:
                if process.pid != own and process.environ().get(_MARK) == str(self.root):
                    yield process
            except psutil.Error:
                continue

    def start_pictures(self) -> str:
        """Start the picture server, which also misbehaves; returns its URL."""
        command = [
            sys.executable,
            "-m",
            "tasks.jobs.articles.picture_server",
            "--port",
            "0",
            "--misbehave",
            "0.4",
        ]
        if self.articles is not None:
            command += ["--root", str(self.articles)]
        serving = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=(self.root / "pictures.log").open("w"),
            env=self.environment,
            text=True,
        )
        self._leaving.callback(serving.kill)
        line = serving.stdout.readline() if serving.stdout else ""
        try:
            self.pictures_url = json.loads(line)["url"]
        except (ValueError, KeyError):
            raise StoryFailedError(
                f"the picture server did not start: {line or 'see pictures.log'}"
            ) from None
        return self.pictures_url

    def truth(self) -> dict[str, str]:
        """What ought to be said of each picture: the server knows how it behaved."""
        with urllib.request.urlopen(f"{self.pictures_url}_truth", timeout=30) as reply:  # noqa: S310 - ours
            kinds = json.loads(reply.read())
        base = self.pictures_url.rstrip("/")
        return {base + path: entry["verdict"] for path, entry in kinds.items()}

    def load_articles(self) -> str:
        """Put the pages into the articles database; returns what the job said."""
        command = ["load-articles", "--base-url", self.pictures_url]
        if self.articles is not None:
            command += ["--folder", str(self.articles)]
        said = self._run([sys.executable, "-m", "tasks", "run", *command])
        lines = [line for line in said.splitlines() if line.startswith("articles:")]
        return lines[-1] if lines else said.strip().splitlines()[-1]

    def write_jobs(self) -> None:
        """The installation's own jobs, pointed at tonight's database, and the two jobs of the stories."""
        yaml = YAML()
        written: Any = yaml.load(self.jobs_file.read_text())
        for step in written["jobs"][MAIN_JOB]["steps"]:
            step["environment"] = {
                **step.get("environment", {}),
                "ARTICLES_URL": self.database,
                "ARTICLES_ALLOW_HOSTS": "127.0.0.1",
            }
        written["jobs"][HANGING_JOB] = {
            "lock": {"key": HANGING_JOB},
            "steps": [_program("hangs.py", timeout_minutes=0.1, stop_grace_seconds=2)],
        }
        written["jobs"][KILLED_JOB] = {
            "lock": {"key": KILLED_JOB},
            "steps": [_program("works.py", timeout_minutes=5, stop_grace_seconds=2)],
        }
        with self.night_jobs.open("w") as out:
            yaml.dump(written, out)

    def start_aws(self) -> str:
        """Start the local AWS on a free port with all jobs on it; returns its URL."""
        self._run([_nightlatch(), "local", "up", "--detach", "--port", "0"])
        if not self.keep:
            self._leaving.callback(self._run, [_nightlatch(), "local", "down"])
        return self.endpoint

    @property
    def endpoint(self) -> str:
        """URL of the local AWS."""
        found: str = json.loads((self.state / "endpoint.json").read_text())["url"]
        return found

    def deployment(self) -> Deployment:
        """A deployment with clients of its own: each story uses one."""
        clients = Clients.at_endpoint(self.endpoint)
        return Deployment(Installation.load(clients, "local"), clients)

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StoryFailedError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def _nightlatch() -> str:
    return str(Path(sys.executable).with_name("nightlatch"))


def _program(name: str, **more: float) -> dict[str, Any]:
    return {"name": "work", "command": ["--", "python", str(_PROGRAMS / name)], **more}
