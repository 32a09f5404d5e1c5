"""The documents of one shard, on disk: found by their place, never all in memory."""

import hashlib
import json
import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.contract import exit_codes
from tasks.jobs.program import JobError


@dataclass(slots=True)
class Item:
    """One document on its way. `n` is its place in the shard.

    `tries` counts tries that failed, the first of them at `failed_at`.

    `wrong` and `problem` are the answer that could not be used, once there was one.
    """

    n: int
    id: str
    work: str
    text: str
    label: str = ""
    received: float = 0.0
    rejected: str = ""
    detail: str = ""
    tries: int = 0
    failed_at: float = 0.0
    wrong: str = ""
    problem: str = ""

    def members(self) -> dict[str, Any]:
        """For a line of the shard's input; what is empty is left out."""
        told: dict[str, Any] = {"id": self.id, "work": self.work, "text": self.text}
        for name in ("label", "received", "rejected", "detail"):
            value = getattr(self, name)
            if value:
                told[name] = value
        return told


class ShardInput:
    """The lines of a shard's input.

    Raises:
        JobError: if the file is not what the plan wrote.
    """

    def __init__(self, path: Path, sha256: str, planned_at: float) -> None:
        self._planned_at = planned_at
        self._offsets = array("q", [0])
        self._received = array("d")
        digest = hashlib.sha256()
        with path.open("rb") as file:
            for line in file:
                digest.update(line)
                self._offsets.append(self._offsets[-1] + len(line))
                self._received.append(_received(line) or planned_at)
        if digest.hexdigest() != sha256:
            raise JobError(f"the shard's input {path.name} is not what the plan wrote", exit_codes.TRY_AGAIN)
        self._file = path.open("rb")

    def __len__(self) -> int:
        return len(self._received)

    def item(self, place: int) -> Item:
        """The document at `place`."""
        start = self._offsets[place]
        line = os.pread(self._file.fileno(), self._offsets[place + 1] - start, start)
        members = json.loads(line)
        return Item(n=place, **members)

    def received(self, place: int) -> float:
        """When the document came, in epoch seconds; when it was planned, if nobody said."""
        return self._received[place] if place < len(self._received) else self._planned_at

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _received(line: bytes) -> float:
    """Only lines that say so are parsed."""
    if b'"received":' not in line:
        return 0.0
    value = json.loads(line).get("received", 0.0)
    return float(value) if isinstance(value, int | float) else 0.0


def shard_line(item: Item) -> bytes:
    """A document as a line of a shard's input."""
    return json.dumps(item.members(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
