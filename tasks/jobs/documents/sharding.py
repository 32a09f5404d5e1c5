"""Cutting a stream of documents into shards: each work once, what cannot be worked on with its reason."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from tasks.jobs.documents import places, settling
from tasks.jobs.documents.question import Question, work_id
from tasks.jobs.documents.reading import Document, Found, Unreadable
from tasks.jobs.documents.shard import Item, shard_line
from tasks.jobs.documents.terms import ShardItem
from tasks.jobs.program import JobError

# A shard's input is held back by a container's disk and memory, not by this; it keeps shards alike.
_LARGEST_SHARD: Final = 256 * 1024 * 1024
_MOST_SHARDS: Final = 10_000
# Dead letters that would end the same way, whoever sends them again.
_NOT_AGAIN: Final = {settling.UNREADABLE, settling.ID_USED_TWICE}


class Sorting:
    """Turns what was found into items: one for each work. Counts what was left out."""

    def __init__(self, question: Question, model: str, longest: int, known: frozenset[bytes]) -> None:
        self._question = question
        self._model = model
        self._longest = longest
        self._known = known
        self._works: dict[bytes, bytes] = {}
        self.counts = {"delivered": 0, "planned": 0, "delivered_again": 0, "known": 0, "rejected": 0}

    def items(self, found: Iterable[Found]) -> Iterator[Item]:
        """The items to plan, in order."""
        for one in found:
            self.counts["delivered"] += 1
            item = self._item(one)
            if item is not None:
                self.counts["rejected" if item.rejected else "planned"] += 1
                yield item

    def _item(self, one: Found) -> Item | None:
        if isinstance(one, Unreadable):
            return _rejected(Document(one.place, ""), one.place, settling.UNREADABLE, one.why)
        named = one.id or hashlib.sha256(one.text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        work = work_id(named, one.text, self._question, self._model)
        key = bytes.fromhex(work)
        if key in self._known:
            self.counts["known"] += 1
            return None
        slot = hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        before = self._works.get(slot)
        if before == key:
            self.counts["delivered_again"] += 1
            return None
        if before is not None:
            # Of two contents under one id the first counts; the other is kept once, however often it comes.
            again = hashlib.blake2b(slot + key, digest_size=12).digest()
            if again in self._works:
                self.counts["delivered_again"] += 1
                return None
            self._works[again] = key
            why = "another document has this id; the first one counts"
            return _rejected(one, named, settling.ID_USED_TWICE, why, work)
        self._works[slot] = key
        return self._checked(one, named, work)

    def _checked(self, one: Document, named: str, work: str) -> Item:
        try:
            (named + one.text + one.label).encode()
        except UnicodeEncodeError:
            clean = Document("", one.text.encode("utf-8", "replace").decode(), "", one.received)
            named = named.encode("utf-8", "replace").decode()
            return _rejected(clean, named, settling.UNREADABLE, "half of a UTF-16 pair stands in it", work)
        if not one.text.strip():
            return _rejected(one, named, settling.EMPTY, "there is no text", work)
        if len(one.text) > self._longest:
            why = f"{len(one.text)} characters; the most is {self._longest}"
            return _rejected(one, named, settling.TOO_LARGE, why, work)
        return Item(0, named, work, one.text, one.label, one.received)


def _rejected(one: Document, named: str, reason: str, why: str, work: str = "") -> Item:
    work = work or hashlib.blake2b(f"{reason}\0{named}".encode(), digest_size=16).hexdigest()
    return Item(0, named, work, one.text, one.label, one.received, rejected=reason, detail=why[:300])


class ShardWriter:
    """Writes items into files of at most `documents` lines, and puts each into `folder` when it is full."""

    def __init__(self, folder: str, scratch: Path, documents: int) -> None:
        self._folder = folder
        self._scratch = scratch
        self._most = documents
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._lines = 0
        self._size = 0
        self._done: list[tuple[int, str, str]] = []

    def add(self, item: Item) -> None:
        """Write an item."""
        if self._file is None:
            if len(self._done) == _MOST_SHARDS:
                raise JobError(
                    f"more than {_MOST_SHARDS} shards: set shard-documents higher than {self._most}"
                )
            self._file = self._path.open("wb")
            self._digest = hashlib.sha256()
            self._lines = self._size = 0
        line = shard_line(item)
        self._file.write(line)
        self._digest.update(line)
        self._lines += 1
        self._size += len(line)
        if self._lines == self._most or self._size >= _LARGEST_SHARD:
            self._close()

    def finish(self, terms: str) -> list[dict[str, Any]]:
        """The items of shards.json; `terms` names the file beside the inputs."""
        self._close()
        return [
            ShardItem(number, lines, self._folder, name, digest, terms).members()
            for number, (lines, name, digest) in enumerate(self._done)
        ]

    @property
    def _path(self) -> Path:
        return self._scratch / "shard.jsonl"

    def _close(self) -> None:
        if self._file is None:
            return
        self._file.close()
        self._file = None
        digest = self._digest.hexdigest()
        name = f"input-{digest[:32]}.jsonl"
        places.store(self._path, self._folder + name)
        self._done.append((self._lines, name, digest))


def read_dead_letters(location: str, counts: dict[str, int]) -> Iterator[Found]:
    """The documents of dead letters that may end otherwise now; the others are counted as ``not_again``.

    Raises:
        JobError: if it is no file of dead letters.
    """
    with places.opened(location) as file:
        for number, line in enumerate(file, 1):
            try:
                told = json.loads(line)
                reason, text = told["reason"], told["text"]
            except (ValueError, KeyError, TypeError):
                raise JobError(f"{location}:{number}: no dead letter of documents-work") from None
            if reason in _NOT_AGAIN:
                counts["not_again"] = counts.get("not_again", 0) + 1
                continue
            yield Document(
                str(told["id"]), str(text), str(told.get("label", "")), float(told.get("received") or 0)
            )


def read_known(location: str) -> frozenset[bytes]:
    """The works that a file of results has answered already.

    Raises:
        JobError: if it is none.
    """
    with places.opened(location) as file:
        try:
            return frozenset(bytes.fromhex(json.loads(line)["work"]) for line in file)
        except (ValueError, KeyError, TypeError):
            raise JobError(f"{location} is no file of results") from None
