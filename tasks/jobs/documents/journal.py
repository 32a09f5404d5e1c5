"""What is settled of a shard, durable at once: a line for each document, in files that outlive the container.

Lines are appended to a file whose name the runtime does not upload. Each second it is closed, synced and
renamed, and from then on it is part of the checkpoint. A process that is killed loses nothing that was
appended; a machine that is lost loses what the runtime had not uploaded yet, and that is worked on again.
"""

import json
import os
import shutil
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from tasks.contract import exit_codes
from tasks.jobs.program import JobError

_OPEN: Final = "open.jsonl.tmp"
_ENDING: Final = ".jsonl"
# So many files of one level become one of the next, so that the checkpoint's list stays short.
_FAN_IN: Final = 16
_HEAD: Final = "shard.json"

Record = dict[str, Any]


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def line_of(record: Record) -> bytes:
    """A record as a line."""
    return _ENCODER.encode(record).encode("utf-8", "backslashreplace") + b"\n"


class Journal:
    """The settled documents of the shard `identity`, of `size` documents. A record has its place as "n".

    A document is settled once: what comes second is not written.
    """

    def __init__(self, folder: Path, identity: str, size: int) -> None:
        self._folder = folder
        self._settled = bytearray(size)
        self._file: IO[bytes] | None = None
        self._dirty = False
        self.count = 0
        self.oldest_open = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._begin(identity)

    def _begin(self, identity: str) -> None:
        head = self._folder / _HEAD
        try:
            known = json.loads(head.read_bytes()).get("shard")
        except (FileNotFoundError, ValueError):
            known = None
        if known != identity:
            for path in [*self._segments(), self._folder / _OPEN]:
                path.unlink(missing_ok=True)
            beside = head.with_name(_HEAD + ".tmp")
            beside.write_text(json.dumps({"shard": identity}))
            beside.replace(head)
        self._seal()

    def replay(self) -> Iterator[Record]:
        """Every record of former attempts, once, in the order of settling. To be read to its end first."""
        for path in self._segments():
            with path.open("rb") as file:
                for line in file:
                    record = _record(line)
                    if record is not None and self._mark(record["n"]):
                        yield record

    def is_settled(self, place: int) -> bool:
        """Whether the document at `place` is."""
        return bool(self._settled[place])

    def open_places(self) -> Iterator[int]:
        """The places of documents that are not settled, in order; some may be settled meanwhile."""
        place = self._settled.find(0)
        while place >= 0:
            yield place
            place = self._settled.find(0, place + 1)

    def settle(self, record: Record) -> bool:
        """Write one record; False if its document is settled already."""
        if not self._mark(record["n"]):
            return False
        if self._file is None:
            self._file = (self._folder / _OPEN).open("ab")
        self._file.write(line_of(record))
        self._dirty = True
        return True

    def flush(self) -> None:
        """Give to the system what was settled: from here on a kill loses none of it."""
        if self._file is not None and self._dirty:
            self._file.flush()
            self._dirty = False

    def rotate(self) -> None:
        """Make what was settled part of the checkpoint."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self._dirty = False
            self._seal()

    def lines(self) -> Iterator[bytes]:
        """The record of every settled document, in the order of the shard. Only after `rotate`."""
        where = array("q", bytes(8 * len(self._settled)))
        whole = self._folder / "whole.tmp"
        with whole.open("wb") as file:
            for path in self._segments():
                with path.open("rb") as segment:
                    for line in segment:
                        record = _record(line)
                        if record is not None and where[record["n"]] == 0:
                            where[record["n"]] = file.tell() + 1
                            file.write(line)
        with whole.open("rb") as file:
            for offset in where:
                if offset:
                    file.seek(offset - 1)
                    yield file.readline()
        whole.unlink()

    def _mark(self, place: int) -> bool:
        if not 0 <= place < len(self._settled):
            raise JobError(f"the journal names document {place} of {len(self._settled)}", exit_codes.BUG)
        if self._settled[place]:
            return False
        self._settled[place] = 1
        self.count += 1
        if place == self.oldest_open:
            found = self._settled.find(0, place)
            self.oldest_open = len(self._settled) if found < 0 else found
        return True

    def _segments(self) -> list[Path]:
        """The files of the checkpoint, older ones first: a higher level is older."""
        names = [path for path in self._folder.glob("*" + _ENDING) if path.stem.count("-") == 1]
        return sorted(names, key=lambda path: (-int(path.stem.split("-")[0]), path.stem))

    def _seal(self) -> None:
        """Rename the open file, whole lines only, then merge where there are many."""
        path = self._folder / _OPEN
        if path.exists():
            body = path.read_bytes()
            whole = body[: body.rfind(b"\n") + 1]
            if len(whole) < len(body):
                with path.open("r+b") as file:
                    file.truncate(len(whole))
                    os.fsync(file.fileno())
            if whole:
                path.replace(self._folder / f"0-{self._next(0):08}{_ENDING}")
            else:
                path.unlink()
        level = 0
        while len(found := self._of_level(level)) >= _FAN_IN:
            self._merge(found, level + 1)
            level += 1

    def _of_level(self, level: int) -> list[Path]:
        return [path for path in self._segments() if path.stem.startswith(f"{level}-")]

    def _next(self, level: int) -> int:
        taken = [int(path.stem.split("-")[1]) for path in self._of_level(level)]
        return max(taken, default=0) + 1

    def _merge(self, paths: list[Path], level: int) -> None:
        """One file of many. A kill between its rename and the removals leaves lines twice; one is read."""
        target = self._folder / f"{level}-{self._next(level):08}{_ENDING}"
        beside = target.with_name(target.name + ".tmp")
        with beside.open("wb") as file:
            for path in paths:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
        for path in paths:
            path.unlink()


def _record(line: bytes) -> Record | None:
    """The record of a line; None if a kill cut it off."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("n"), int) else None
