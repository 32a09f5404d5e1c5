"""A jobs file as a tree of values that know where they stand.

Terraform reads the same file with a YAML 1.2 parser that still knows some of YAML 1.1; Python's parsers know
other parts. ``12:30`` is text for one and 750 for another, ``017`` is 17 or 15, a bare date is text or a
date, ``y`` is true or text. Only what every parser reads alike is accepted here; the rest is refused with the
advice to quote it. The tree is built from the parser's events: only those still say what was quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from nightlatch.catalog.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ruamel.yaml.events import Event

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"
Path_: TypeAlias = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""

LARGEST_BYTES = 1024 * 1024
"""A jobs file of a thousand jobs has a quarter of this; more is a mistake in the path."""

DEEPEST = 20
"""Values nested deeper than this are no jobs file (and would exhaust the stack)."""

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_WORDS_READ_DIFFERENTLY = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# Numbers, dates and times as one of YAML 1.0, 1.1, 1.2, Go and Python would see them. What merely contains
# digits (an IP address, a version with two dots, a name) matches none of these and stays text everywhere.
_READ_DIFFERENTLY = re.compile(
    r"""(?xi)
    [-+]?[0-9][0-9_]*                          # 017, 1_000, +5
  | [-+]?0[box][0-9a-f_]+                      # 0o17, 0x1f, 0b1
  | [-+]?(?:[0-9][0-9_]*)?\.[0-9_]*(?:e[-+]?[0-9]+)?   # .5, 5., 1.5e3
  | [-+]?[0-9][0-9_]*e[-+]?[0-9]+              # 1e3
  | [-+]?\.(?:inf|nan) | \.nan
  | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?   # 12:30, 1:30:15
  | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*           # 2026-11-21, with or without a time
  | = | <<
    """
)


@dataclass(slots=True)
class Node:
    """One value with its place. ``key_marks`` holds where each key of a mapping stands."""

    value: Value
    line: int
    column: int
    items: dict[str | int, Node] = field(default_factory=dict)
    key_marks: dict[str, tuple[int, int]] = field(default_factory=dict)

    def plain(self) -> Value:
        """The value without places: dicts, lists, text, numbers, true, false and null."""
        if isinstance(self.value, dict):
            return {str(key): node.plain() for key, node in self.items.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.items.values()]
        return self.value


@dataclass(slots=True)
class Document:
    """A jobs file that could be parsed, with what was found wrong on the way.

    ``doubtful`` names the values that were already reported, so that nobody reports them a second time.
    """

    file: str
    root: Node
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[Path_] = field(default_factory=set)

    def mark(self, path: Path_) -> tuple[int, int]:
        """Line and column of the value at ``path``, or of the nearest enclosing value that is there.

        A mapping is pointed at by its key: that is the line a person looks for.
        """
        node, place = self.root, (self.root.line, self.root.column)
        for step in path:
            if step not in node.items:
                break
            child = node.items[step]
            nested = isinstance(child.value, dict | list)
            place = node.key_marks[step] if nested and step in node.key_marks else (child.line, child.column)
            node = child
        return place

    def key_mark(self, path: Path_) -> tuple[int, int]:
        """Line and column of the key that ends ``path``."""
        node = self.root
        for step in path[:-1]:
            if step not in node.items:
                return self.mark(path)
            node = node.items[step]
        return node.key_marks.get(str(path[-1])) or self.mark(path)

    def has(self, path: Path_) -> bool:
        """Whether the file itself says something at ``path``."""
        node = self.root
        for step in path:
            if step not in node.items:
                return False
            node = node.items[step]
        return True


class Unreadable(Exception):  # noqa: N818 - carries one problem to the loader; people see CatalogError
    """The file cannot be parsed at all; nothing else can be said about it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_document(path: Path) -> Document:
    """Read and parse a jobs file.

    Raises:
        Unreadable: The file is missing, too big, not UTF-8 or not YAML.
    """
    return parse_document(_read_text(path), str(path))


def parse_document(text: str, file: str) -> Document:
    """Parse the text of a jobs file; ``file`` is the name used in problems.

    Raises:
        Unreadable: The text is not one YAML document.
    """
    builder = _Builder(file)
    try:
        root = builder.build(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise Unreadable(_syntax_problem(file, place, text, error)) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(
            Problem(file, line, 1, "JOBS-004", "a character that YAML does not allow", "remove the character")
        ) from error
    if root is None:
        raise Unreadable(
            Problem(
                file, 0, 0, "JOBS-004", "the file is empty", "it needs `defaults`, `environments`, `jobs`"
            )
        )
    return Document(file, root, builder.problems, builder.doubtful)


def _read_text(path: Path) -> str:
    file = str(path)
    try:
        with path.open("rb") as stream:
            # One byte more than allowed is enough to know; a wrong path may name something endless.
            raw = stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        hint = "name the file with --file, or go to the folder that holds it"
        raise Unreadable(Problem(file, 0, 0, "JOBS-001", "there is no such file", hint)) from error
    except OSError as error:
        message = f"the file cannot be read: {error.strerror}"
        raise Unreadable(Problem(file, 0, 0, "JOBS-001", message, "check what the path names")) from error
    if len(raw) > LARGEST_BYTES:
        message = f"the file has more than {LARGEST_BYTES} bytes"
        raise Unreadable(Problem(file, 0, 0, "JOBS-003", message, "is this really a jobs file?"))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise Unreadable(
            Problem(file, line, column, "JOBS-002", message, "save the file as UTF-8")
        ) from error


def _syntax_problem(file: str, place: tuple[int, int], text: str, error: MarkedYAMLError) -> Problem:
    line, column = place
    lines = text.splitlines()
    if 0 < line <= len(lines) and "\t" in lines[line - 1][: column + 1]:
        return Problem(file, line, column, "JOBS-004", "a tab where YAML wants spaces", "indent with spaces")
    what = " ".join(part for part in (error.context, error.problem) if part)
    hint = "check indentation, colons and quotes on this line and the one above"
    return Problem(file, line, column, "JOBS-004", f"not YAML: {what}", hint)


class _Builder:
    """Builds the tree from parser events and collects what must not be in a jobs file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.doubtful: set[Path_] = set()

    def build(self, events: Iterator[Event]) -> Node | None:
        root = None
        for event in events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                self._report(event, "JOBS-005", "a second YAML document", "keep one document per file")
                break
            if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
                root = self._node(event, events, ())
        return root

    def _node(self, event: Event, events: Iterator[Event], path: Path_) -> Node:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if len(path) > DEEPEST:
            message = f"values nested more than {DEEPEST} deep"
            raise Unreadable(Problem(self.file, line, column, "JOBS-004", message, "check the brackets"))
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            self._report(
                event, "JOBS-005", "YAML anchors and aliases are not read here", "write the value out"
            )
            self.doubtful.add(path)
        tag = getattr(event, "tag", None)
        if tag:
            self._report(event, "JOBS-005", f"the YAML tag {tag} is not read here", "remove the tag")
            self.doubtful.add(path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(Node({}, line, column), events, path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(Node([], line, column), events, path)
        if isinstance(event, ScalarEvent):
            return Node(self._scalar(event, path), line, column)
        return Node(None, line, column)

    def _mapping(self, node: Node, events: Iterator[Event], path: Path_) -> Node:
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            if not isinstance(event, ScalarEvent):
                self._report(event, "JOBS-005", "a key that is not a word", "use a plain name as the key")
                self._node(event, events, path)
                self._node(next(events), events, path)
                continue
            key = event.value
            read_as = self._scalar(event, (*path, key))
            if not isinstance(read_as, str) and (*path, key) not in self.doubtful:
                self._report(event, "JOBS-006", f"the key {key} is not text", f'write "{key}":')
                self.doubtful.add((*path, key))
            if key in node.items:
                first = node.key_marks[key][0]
                self._report(
                    event,
                    "JOBS-007",
                    f"the key {key!r} stands twice; first on line {first}",
                    "keep one of them",
                )
                self._node(next(events), events, path)  # read past the second value
                continue
            node.key_marks[key] = (event.start_mark.line + 1, event.start_mark.column + 1)
            node.items[key] = self._node(next(events), events, (*path, key))
        return node

    def _sequence(self, node: Node, events: Iterator[Event], path: Path_) -> Node:
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            index = len(node.items)
            node.items[index] = self._node(event, events, (*path, index))
        return node

    def _scalar(self, event: ScalarEvent, path: Path_) -> Value:
        text: str = event.value
        if event.style is not None:  # quoted or a block: text, whatever it looks like
            return text
        known = {"": None, "~": None, "null": None, "true": True, "false": False}
        if text in known:
            return known[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text)
        if text.lower() in _WORDS_READ_DIFFERENTLY or _READ_DIFFERENTLY.fullmatch(text):
            self._report(
                event, "JOBS-006", f"YAML parsers read {text} differently", f'write "{text}" if it is text'
            )
            self.doubtful.add(path)
        return text

    def _report(self, event: Event, code: str, message: str, hint: str) -> None:
        mark = event.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, code, message, hint))
