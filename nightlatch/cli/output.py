"""Data on stdout: tables, JSON, JSON lines, names.

JSON is a contract: it carries `schema_version`, keys are snake_case, moments are ISO 8601 in UTC, spans
are seconds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rich import box
from rich.table import Table
from rich.text import Text

from nightlatch.cli.settings import Format, TimeStyle
from nightlatch.cli.times import moment_text, span
from nightlatch.operations.text_of_time import iso

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 1
_NAME_SHARE = 0.6

T = TypeVar("T")

# Colour never carries meaning alone: the word is always there.
STYLES: dict[str, str] = {
    "succeeded": "green",
    "running": "cyan",
    "waiting": "yellow",
    "failed": "red",
    "timed_out": "red",
    "stopped": "yellow",
    "skipped": "yellow",
    "duplicate": "yellow",
    "held": "cyan",
    "free": "green",
    "stale": "red",
    "ok": "green",
    "fault": "red",
    "warning": "yellow",
    "enabled": "green",
    "paused": "yellow",
    "disabled": "yellow",
}


@dataclass(frozen=True)
class Seconds:
    """A span of time in a table cell."""

    value: float


Cell = str | int | float | datetime | Seconds | None


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a table: its title and how to get its cell from an item."""

    title: str
    cell: Callable[[T], Cell]
    right: bool = False


def plain(value: Any) -> Any:
    """The JSON form of a typed result.

    Dataclasses become objects, moments ISO text, enums their value, spans numbers.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.value if isinstance(value, Enum) else value


class Output:
    """Writes data to stdout in the format that was asked for.

    Args:
        console: The stdout console.
        form: The format.
        time: How moments are written in tables; None means relative on a terminal and ISO in a pipe.
        now: The present.
    """

    def __init__(
        self, console: Console, form: Format, time: TimeStyle | None, now: Callable[[], datetime]
    ) -> None:
        self.console = console
        self.form = form
        self.terminal = console.file.isatty()
        self._time = time or (TimeStyle.RELATIVE if self.terminal else TimeStyle.ISO)
        self._now = now

    @property
    def machine(self) -> bool:
        """Whether the output is read by a program."""
        return self.form in (Format.JSON, Format.JSONL)

    def line(self, text: str = "") -> None:
        """One line of plain text, never wrapped and never styled."""
        self.raw(text + "\n")

    def paragraph(self, text: str) -> None:
        """Prose, wrapped to the width of the terminal."""
        self.console.print(Text(text))

    def raw(self, text: str) -> None:
        """Text exactly as it is."""
        self.console.file.write(text)
        self.console.file.flush()

    def document(self, kind: str, value: Any) -> None:
        """One JSON document, on a single line under `jsonl`; a list stands under the name of its kind."""
        body = plain(value)
        whole = {"schema_version": SCHEMA_VERSION, "kind": kind}
        whole.update(body if isinstance(body, dict) else {kind: body})
        indent = 2 if self.form is Format.JSON else None
        self.raw(json.dumps(whole, indent=indent, ensure_ascii=False) + "\n")

    def records(
        self, kind: str, items: Sequence[T], columns: Sequence[Column[T]], *, name: Callable[[T], str]
    ) -> None:
        """A list of items in the chosen format.

        Args:
            kind: The word for the whole list, for JSON.
            items: The items.
            columns: The columns of the table.
            name: What `-o name` prints for an item.
        """
        if self.form is Format.JSON:
            self.document(kind, list(items))
        elif self.form is Format.JSONL:
            for item in items:
                self.document(kind.removesuffix("s"), item)
        elif self.form is Format.NAME:
            for item in items:
                self.line(name(item))
        elif self.terminal:
            self._table(items, columns)
        else:
            for item in items:
                # One item is one line, whatever stands in its cells.
                self.line("\t".join(" ".join(self.cell(column.cell(item)).split()) for column in columns))

    def record(self, kind: str, item: T, *, name: str, view: Callable[[T], None]) -> None:
        """One item in the chosen format; `view` draws it for people."""
        if self.machine:
            self.document(kind, item)
        elif self.form is Format.NAME:
            self.line(name)
        else:
            view(item)

    def facts(self, rows: Sequence[tuple[str, Cell]], *, indent: int = 0) -> None:
        """Labels and values, one pair a line, aligned; rows without a value are left out."""
        shown = [(label, value) for label, value in rows if value is not None and value != ""]
        width = max((len(label) for label, _ in shown), default=0)
        for label, value in shown:
            line = Text(" " * indent + label.ljust(width + 2), style="dim")
            text = self.cell(value)
            line.append(text, style=STYLES.get(text, "not dim"))
            self.console.print(line, soft_wrap=True)

    def heading(self, text: str) -> None:
        """A blank line and a bold title."""
        self.console.print()
        self.console.print(Text(text, style="bold"), soft_wrap=True)

    def cell(self, value: Cell) -> str:
        """The text of one cell."""
        if value is None or value == "":
            return "-"
        if isinstance(value, datetime):
            return self.moment(value)
        if isinstance(value, Seconds):
            return span(value.value)
        return str(value)

    def moment(self, value: datetime) -> str:
        """A moment as `--time` asks."""
        return moment_text(value, self._time, self._now())

    def _table(self, items: Sequence[T], columns: Sequence[Column[T]]) -> None:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        rows = [[self.cell(column.cell(item)) for column in columns] for item in items]
        # A name that is broken over lines cannot be copied; one that is too long would push the rest out.
        whole = max((len(row[0]) for row in rows), default=0) <= self.console.width * _NAME_SHARE
        for position, column in enumerate(columns):
            table.add_column(
                column.title,
                justify="right" if column.right else "left",
                no_wrap=position == 0 and whole,
                overflow="fold",
            )
        for texts in rows:
            # The first column is a name, and a job may be called `failed`.
            name, *rest = texts
            table.add_row(Text(name), *(Text(text, style=STYLES.get(text, "")) for text in rest))
        self.console.print(table)
