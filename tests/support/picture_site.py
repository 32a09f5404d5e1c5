"""A site of real pictures on a server that misbehaves, an articles database about it, and the checker."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.jobs.articles.corpus import Page, read_pages
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.finding_files import FindingFiles
from tasks.jobs.articles.load_articles import load

ROOT = Path(__file__).resolve().parents[2]
TIME = datetime(2026, 11, 1, tzinfo=UTC)


@contextmanager
def picture_server(root: str = "", *options: str) -> Iterator[str]:
    """The shipped server in a process of its own; yields its URL."""
    command = [sys.executable, "-m", "tasks.jobs.articles.picture_server", "--root", root, *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def truth(url: str) -> dict[str, str]:
    """The true verdict of every picture below the server's root, by URL."""
    with urllib.request.urlopen(url + "_truth", timeout=10) as reply:
        members = json.loads(reply.read())
    return {url.rstrip("/") + path: said["verdict"] for path, said in members.items()}


def asked(url: str) -> dict[str, int]:
    """How often the server was asked for pictures: requests, unchanged, most_at_once."""
    with urllib.request.urlopen(url + "_asked", timeout=10) as reply:
        counted: dict[str, int] = json.loads(reply.read())
    return counted


@dataclass
class Checks:
    """Runs the checker in processes of their own, over one articles database and one checkpoint."""

    folder: Path

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder}/articles.sqlite"

    def write_articles(self, *bodies: str, site: str = "https://www.example.com/") -> None:
        pages = [
            Page(f"{site}articles/{number}", f"記事 {number} <&>", body, TIME, TIME, str(hash(body)))
            for number, body in enumerate(bodies, start=1)
        ]
        engine = open_database(self.database)
        load(engine, pages, TIME)
        engine.dispose()

    def load_folder(self, folder: Path, url: str) -> None:
        engine = open_database(self.database)
        load(engine, list(read_pages(folder, url)), TIME)
        engine.dispose()

    def command(self, *options: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "tasks.jobs.articles.missing_images",
            *("--database", self.database),
            *("--checkpoint", str(self.folder / "checkpoint")),
            *("--output", str(self.folder / "output")),
            *options,
        ]

    def run_in_shell(self, before: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run it after a shell has done something to the process."""
        return subprocess.run(
            ["sh", "-c", f'{before}; exec "$@"', "sh", *self.command(*options)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )

    def start(self, *options: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*options),
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *options: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
        process = self.start(*options, environment=environment)
        text, _ = process.communicate(timeout=100)
        return process.returncode, text

    def findings(self) -> dict[str, dict[str, Any]]:
        lines = (self.folder / "output" / "findings.jsonl").read_text().splitlines()
        return {members.pop("url"): members for members in map(json.loads, lines)}

    def verdicts(self) -> dict[str, str]:
        return {url: finding["verdict"] for url, finding in self.findings().items()}

    def checkpointed(self) -> set[str]:
        return {url for url, _ in FindingFiles(self.folder / "checkpoint").read()}


def pictures(urls: list[str]) -> str:
    return "".join(f'<img src="{url}">' for url in urls)
