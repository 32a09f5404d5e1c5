"""Streams of documents: JSON lines, tables, SGML, folders of texts. One document at a time is in memory."""

import csv
import html
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Final

from tasks.jobs.documents import places
from tasks.jobs.program import JobError

TEXTS: Final = (".txt", ".md", ".text")
_TABLES: Final = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_LINES: Final = (".jsonl", ".ndjson")
_SGML: Final = (".sgm", ".sgml")
# A line that is longer is no document, and reading it would fill the memory.
_LONGEST_LINE: Final = 32 * 1024 * 1024
_MANIFEST: Final = "current.json"


@dataclass(frozen=True, slots=True)
class Fields:
    """Which members or columns carry what; the id may be missing, then the content is the id."""

    id: str = "id"
    text: str = "text"
    label: str = "label"
    received: str = "received"


@dataclass(slots=True)
class Document:
    """One document: `received` in epoch seconds (0: not known), `label` what somebody says it is, or ""."""

    id: str
    text: str
    label: str = ""
    received: float = 0.0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that is no document: where it stands, and why."""

    place: str
    why: str


Found = Document | Unreadable


def read_documents(location: str, fields: Fields) -> Iterator[Found]:
    """Every document at `location`: a file, a folder, or the manifest of a published output.

    Raises:
        JobError: if the location as a whole cannot be read.
    """
    csv.field_size_limit(min(sys.maxsize, _LONGEST_LINE))
    if places.is_folder(location):
        yield from _folder(location, fields)
        return
    if location.endswith("/" + _MANIFEST):
        location = published_file(location, "dead_letters.jsonl")
    name = location.rsplit("/", 1)[-1].lower()
    ending = name[name.rfind(".") :] if "." in name else ""
    with places.opened(location) as file:
        if ending in _LINES:
            yield from _json_lines(file, name, fields)
        elif ending in _TABLES:
            yield from _table(file, name, _TABLES[ending], fields)
        elif ending in _SGML:
            yield from _sgml(file, name)
        elif ending in TEXTS:
            yield _plain(file.read(), name)
        else:
            raise JobError(
                f"{location}: documents are read from folders and "
                + ", ".join((*_LINES, *_TABLES, *_SGML, *TEXTS))
            )


def published_file(manifest: str, name: str) -> str:
    """Where a file of a published output lies, by the output's ``current.json``."""
    try:
        members = json.loads(places.read(manifest))
        keys = {file["name"]: file["key"] for file in members["files"]}
        return manifest.removesuffix(_MANIFEST) + str(keys[name])
    except (ValueError, KeyError, TypeError):
        raise JobError(f"{manifest} is no manifest of an output with {name}") from None


def _folder(location: str, fields: Fields) -> Iterator[Found]:
    root = location.rstrip("/") + "/"
    for place in places.listed(location):
        if place.lower().endswith(TEXTS):
            yield _plain(places.read(place), place.removeprefix(root))
        elif place.lower().endswith((*_LINES, *_TABLES, *_SGML)):
            yield from read_documents(place, fields)


def _plain(body: bytes, name: str) -> Found:
    try:
        return Document(name, body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Unreadable(name, f"not UTF-8 at byte {error.start}")


def _json_lines(file: IO[bytes], name: str, fields: Fields) -> Iterator[Found]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if not line.strip():
            continue
        place = f"{name}:{number}"
        if not line.endswith(b"\n") and len(line) == _LONGEST_LINE:
            while (more := file.readline(_LONGEST_LINE)) and not more.endswith(b"\n"):
                pass
            yield Unreadable(place, f"the line is longer than {_LONGEST_LINE // 2**20} MB")
            continue
        try:
            members = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (ValueError, RecursionError) as error:
            yield Unreadable(place, f"not JSON: {error}")
            continue
        yield _document(members, place, fields)


def _table(file: IO[bytes], name: str, delimiter: str, fields: Fields) -> Iterator[Found]:
    text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
    rows = csv.DictReader(text, delimiter=delimiter)
    try:
        columns = rows.fieldnames or ()
        if fields.text not in columns:
            there = ", ".join(columns)
            raise JobError(
                f"{name} has no column {fields.text!r}; name it with text-field (there are: {there})"
            )
        for row in rows:
            yield _document(row, f"{name}:{rows.line_num}", fields)
    except csv.Error as error:
        raise JobError(f"{name}:{rows.line_num}: {error}") from None
    finally:
        text.detach()  # whoever opened the file closes it


def _document(members: Any, place: str, fields: Fields) -> Found:
    if not isinstance(members, dict):
        return Unreadable(place, "not an object")
    text = members.get(fields.text)
    if not isinstance(text, str):
        return Unreadable(place, f"{fields.text!r} is missing or no text")
    identity = members.get(fields.id)
    if identity is not None and not isinstance(identity, str | int):
        return Unreadable(place, f"{fields.id!r} is neither text nor number")
    label = members.get(fields.label)
    named = "" if identity is None else str(identity).strip()
    return Document(
        named, text, label if isinstance(label, str) else "", _epoch(members.get(fields.received))
    )


def _epoch(value: Any) -> float:
    """Epoch seconds of a number or an ISO time; 0 if it is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**40:
        return float(value)
    if not isinstance(value, str) or not value:
        return 0.0
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return 0.0
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


_REUTERS: Final = re.compile(r"<REUTERS\b([^>]*)>(.*?)</REUTERS>", re.DOTALL)
_NUMBER: Final = re.compile(r'NEWID="(\d+)"')
_TOPIC: Final = re.compile(r"<TOPICS>\s*<D>([^<]*)</D>")
_END: Final = b"</REUTERS>"


def _sgml(file: IO[bytes], name: str) -> Iterator[Found]:
    """Reuters-21578's own form: REUTERS elements with NEWID, TOPICS, TITLE and BODY; Latin-1."""
    held = b""
    while chunk := file.read(1 << 18):
        held += chunk
        *whole, held = held.split(_END)
        for part in whole:
            found = _REUTERS.search(part.decode("latin-1") + "</REUTERS>")
            if found is None:
                yield Unreadable(name, "a REUTERS element without its beginning")
                continue
            yield _story(found, name)
        if len(held) > _LONGEST_LINE:
            raise JobError(f"{name}: no end of a REUTERS element within {_LONGEST_LINE // 2**20} MB")


def _story(found: re.Match[str], name: str) -> Found:
    number, topic = _NUMBER.search(found[1]), _TOPIC.search(found[2])
    parts = [html.unescape(part).strip("\x02\x03 \n") for part in _elements(found[2], "TITLE", "BODY")]
    if number is None:
        return Unreadable(name, "a REUTERS element without NEWID")
    return Document(number[1], "\n".join(part for part in parts if part), topic[1] if topic else "")


def _elements(text: str, *names: str) -> Iterator[str]:
    for name in names:
        found = re.search(f"<{name}>(.*?)</{name}>", text, re.DOTALL)
        if found is not None:
            yield found[1]
