"""What every process saw, line by line: append-only, with the clock that all processes of a machine share."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from lock import events
from lock.model import Holder, LastRun, StaleTask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lock.events import Event

_RECORDS = {record.__name__: record for record in (Holder, LastRun, StaleTask)}


def now() -> int:
    """Nanoseconds of CLOCK_MONOTONIC, which all processes of one machine read alike."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class History:
    """The file of one process. One line is one write, so a kill loses a line or does not."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        path = folder / f"{name}-{os.getpid()}-{now()}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, what: str, **details: Any) -> int:
        """Append one line; returns its time."""
        at = now()
        line = {"at": at, "pid": os.getpid(), "by": self.name, "what": what, **details}
        os.write(self._file, json.dumps(line).encode() + b"\n")
        return at


@dataclass(frozen=True)
class Histories:
    """All lines of all processes in order of time, and the lines that could not be read."""

    lines: list[dict[str, Any]]
    torn: list[str]

    @classmethod
    def read(cls, folder: Path) -> Histories:
        """Every file of a folder."""
        lines, torn = [], []
        for path in sorted(folder.glob("*.jsonl")):
            for text in path.read_text().splitlines():
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    torn.append(f"{path.name}: {text}")
        return cls(sorted(lines, key=lambda line: line["at"]), torn)

    def of(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """The lines of these kinds."""
        return (line for line in self.lines if line["what"] in kinds)


def encode_event(event: Event) -> dict[str, Any]:
    """An operation on the lock item as JSON."""
    encoded: dict[str, Any] = {"type": type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        name = type(value).__name__
        encoded[field.name] = {"record": name, **value.encode()} if name in _RECORDS else value
    return encoded


def decode_event(encoded: dict[str, Any]) -> Event:
    """The operation that `encode_event` was given."""
    values: dict[str, Any] = {}
    for name, value in encoded.items():
        if isinstance(value, dict):
            attributes = {k: v for k, v in value.items() if k != "record"}
            values[name] = _RECORDS[value["record"]].decode(attributes, "history")
        elif name != "type":
            values[name] = value
    event: Event = getattr(events, encoded["type"])(**values)
    return event
