"""Findings in files that appear whole: what survives an attempt that is killed."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tasks.jobs.articles.verdicts import Finding


@dataclass(frozen=True, slots=True)
class Batch:
    """The findings of one file: each as JSON, its verdict, and which picture it is about.

    That is the picture's number in the database of this attempt where they are `numbered`, else its URL.
    """

    numbered: bool
    rows: Iterable[tuple[str, str, str]]


class FindingFiles:
    """The findings of this run and its former attempts, in the checkpoint directory.

    Each batch is one file, written beside and renamed after it is on the disk: kill -9 at any moment leaves
    whole batches and loses at most the one that was not yet written. `part` tells processes apart that write
    into one directory, `attempt` (default: a new one) the attempts. A line has the picture's number in the
    database of its attempt, the verdict, the URL, and the finding as JSON.
    """

    def __init__(self, directory: Path, part: int = 0, attempt: str = "") -> None:
        self._directory = directory
        self._seen: set[str] = set()
        directory.mkdir(parents=True, exist_ok=True)
        # Its own name in every attempt: what an earlier one left running a moment too long must not write
        # over a file of this one, and its numbers mean nothing here.
        self.attempt = attempt or f"{os.getpid()}.{time.time_ns():x}"
        self._part = part
        self._next = 1
        self._batch: list[bytes] = []

    def read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What was found and has not been read before, as (url, finding)."""
        for path in self._unseen():
            for _, _, url, text in _lines(path):
                yield url, json.loads(text)

    def batches(self) -> Iterator[Batch]:
        """What was found and has not been read before."""
        for path in self._unseen():
            if path.name.startswith(f"findings-{self.attempt}-"):
                rows = ((text, verdict, number) for number, verdict, _, text in _lines(path))
                yield Batch(numbered=True, rows=rows)
            else:
                yield Batch(
                    numbered=False, rows=((text, verdict, url) for _, verdict, url, text in _lines(path))
                )

    def _unseen(self) -> Iterator[Path]:
        for path in sorted(self._directory.glob("findings-*.tsv")):
            if path.name not in self._seen:
                self._seen.add(path.name)
                yield path

    def add(self, url: str, finding: Finding, number: int = 0) -> int:
        """Put a finding into the batch; returns how many are in it."""
        members = finding._asdict()
        members["checked"] = int(time.time())
        text = orjson.dumps(members)
        self._batch.append(f"{number}\t{finding.verdict}\t{url}\t".encode() + text)
        return len(self._batch)

    def write(self) -> None:
        """Make the batch safe.

        Raises:
            OSError: disk full; nothing of the batch is left.
        """
        if not self._batch:
            return
        path = self._directory / f"findings-{self.attempt}-{self._part}-{self._next:08d}.tsv"
        beside = path.with_suffix(".tmp")
        try:
            with beside.open("wb") as file:
                file.write(b"\n".join([*self._batch, b""]))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        self._next += 1
        self._batch.clear()


def _lines(path: Path) -> Iterator[list[str]]:
    """The four parts of each line; no URL and no JSON has a tab or a line break in it."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.split("\t", 3)
