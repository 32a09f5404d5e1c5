"""Findings in files of JSON lines that appear whole: what survives an attempt that is killed."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from tasks.jobs.articles.verdicts import Finding


class FindingFiles:
    """The findings of this run and its former attempts, in the checkpoint directory.

    Each batch is one file, written beside and renamed after it is on the disk: kill -9 at any moment leaves
    whole batches and loses at most the one that was not yet written. `part` tells processes apart that write
    into one directory.
    """

    def __init__(self, directory: Path, part: int = 0) -> None:
        self._directory = directory
        self._seen: set[str] = set()
        directory.mkdir(parents=True, exist_ok=True)
        # Its own name in every process: what an earlier attempt left running a moment too long must not
        # write over a file of this one.
        self._name = f"findings-{part}-{os.getpid()}-{time.time_ns():x}"
        self._next = 1
        self._batch: list[bytes] = []

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob("findings-*.jsonl"))

    def read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What was found and has not been read before, as (url, finding)."""
        for line in self.lines():
            members = json.loads(line)
            yield members.pop("url"), members

    def lines(self) -> Iterator[str]:
        """What was found and has not been read before, each finding as JSON."""
        for path in self._files():
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            with path.open(encoding="utf-8") as file:
                yield from file

    def add(self, url: str, finding: Finding) -> int:
        """Put a finding into the batch; returns how many are in it."""
        self._batch.append(_line(url, finding))
        return len(self._batch)

    def write(self) -> None:
        """Make the batch safe."""
        if not self._batch:
            return
        path = self._directory / f"{self._name}-{self._next:08d}.jsonl"
        beside = path.with_suffix(".tmp")
        with beside.open("wb") as file:
            file.write(b"\n".join([*self._batch, b""]))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        self._next += 1
        self._batch.clear()


_MEMBERS: Final = ("url", "checked", *Finding._fields)


def _line(url: str, finding: Finding) -> bytes:
    return orjson.dumps(dict(zip(_MEMBERS, (url, int(time.time()), *finding), strict=True)))
