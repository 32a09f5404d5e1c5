"""What is finished, on disk: a task counts as finished only when its record is there to stay.

Records lie in small files that are written once and never changed, so that the runtime can take them away at
any moment. Tasks that finish while a write is under way share the next one: each waits for its own record,
and the disk is asked once for all of them.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "finished"
STATE: Final = "finished.json"
_VERSION: Final = 1


@dataclass(frozen=True)
class Source:
    """What a task was written from: a search result, or another task (``#id``)."""

    number: int
    title: str
    address: str


@dataclass(frozen=True)
class Record:
    """The result of one task. `key` says of what: see `keys`."""

    key: str
    project: str
    task: str
    # Text for markdown, parsed JSON for json and yaml.
    output: Any
    seconds: float
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    finished_at: str = ""
    sources: tuple[Source, ...] = field(default=())

    def members(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "sources": [vars(source) for source in self.sources]}

    @classmethod
    def read(cls, members: Mapping[str, Any]) -> "Record":
        """From JSON.

        Raises:
            TypeError, KeyError: if it is not a record.
        """
        sources = tuple(Source(**source) for source in members.get("sources", ()))
        return cls(**{**members, "sources": sources})


class Finished:
    """The records of one folder. `write` returns when its record is on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self._number = max((_number(path) for path in self._folder.glob("*.json*")), default=0)
        self._waiting: list[tuple[Record, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, record: Record) -> None:
        """Keep a record.

        Raises:
            OSError: if it cannot be written.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await asyncio.shield(done)

    async def settled(self) -> None:
        """Wait until everything that was given to `write` is on the disk, or could not be."""
        if self._writer is not None:
            await self._writer

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            self._number += 1
            path = self._folder / f"{self._number:08d}.json"
            body = _body([record for record, _ in batch])
            try:
                await asyncio.to_thread(_write, path, body)
            except OSError as error:
                for _, done in batch:
                    _settle(done, error)
            else:
                for _, done in batch:
                    _settle(done, None)


def _settle(done: "asyncio.Future[None]", error: OSError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # whoever waited may have been cancelled: then nobody asks for it


def read_finished(folder: Path) -> dict[str, Record]:
    """The records that `Finished` left in `folder`, and those of a ``finished.json`` there, by key.

    A file whose renaming a crash has undone counts as well, if it is whole. One that is not readable is left
    out: its tasks are simply done again.
    """
    found: dict[str, Record] = {}
    files = (folder / FOLDER).glob("*.json*")
    for path in [folder / STATE, *sorted(files, key=_number)]:
        for record in _records(path):
            found[record.key] = record
    return found


def write_state(folder: Path, records: list[Record]) -> None:
    """All records in one file, for the next run."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / STATE, _body(records))


def _records(path: Path) -> Iterator[Record]:
    try:
        members = json.loads(path.read_bytes())
        if members["schema_version"] != _VERSION:
            return
        records = [Record.read(record) for record in members["records"]]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        return
    yield from records


def _body(records: list[Record]) -> bytes:
    members = {"schema_version": _VERSION, "records": [record.members() for record in records]}
    return json.dumps(members, ensure_ascii=False).encode()


def _number(path: Path) -> int:
    number = path.name.partition(".")[0]
    return int(number) if number.isdigit() else 0


def _write(path: Path, body: bytes) -> None:
    """Write a file whole and durably, with one request to the disk.

    The fsync of a new file keeps its bytes and the name it has then. The rename is for readers of the running
    system; if a crash of the machine undoes it, `read_finished` finds the file under its first name.
    """
    beside = path.with_name(path.name + ".tmp")
    with beside.open("wb", buffering=0) as file:
        file.write(body)
        os.fsync(file.fileno())
    beside.replace(path)
