"""What the audience sees: lines that scroll by, and below them the main job as it is now."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from nightlatch.operations.observation import Observation

_STEP_PERCENT = 10
_COLOURS = {"night": "bold", "main": "cyan", "second start": "yellow", "hang": "magenta", "killed": "green"}


class Board:
    """Prints lines from any thread; on a terminal it also keeps a live panel at the bottom."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._live: Live | None = None
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._told: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(Text(""), console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, who: str, text: str) -> None:
        """One line of one story."""
        line = Text.assemble(
            (f"{time.monotonic() - self._start:6.1f}s ", "dim"), (f"{who:<13}", _COLOURS.get(who, "")), text
        )
        with self._lock:
            self.console.print(line, soft_wrap=True)

    def show(self, seen: Observation) -> None:
        """The main job as it is now."""
        if self._live is not None:
            self._live.update(_panel(seen))
        attempt, progress = seen.attempt, seen.progress
        percent = (
            int(progress.percent // _STEP_PERCENT * _STEP_PERCENT) if progress and progress.percent else 0
        )
        now = (
            seen.phase,
            attempt.number if attempt else 0,
            percent // _STEP_PERCENT,
            seen.lock.token if seen.lock else None,
        )
        if now != self._told:
            self._told = now
            self.say("main", _sentence(seen))


def _sentence(seen: Observation) -> str:
    parts = [seen.phase]
    if seen.attempt is not None:
        parts.append(f"attempt {seen.attempt.number}")
    if seen.progress is not None and seen.progress.total:
        parts.append(f"{seen.progress.done:g} of {seen.progress.total:g}")
        if seen.progress.percent is not None:
            parts.append(f"{seen.progress.percent:.0f} %")
        if seen.progress.eta_seconds is not None:
            parts.append(f"{seen.progress.eta_seconds:.0f} s to go")
    if seen.lock is not None and seen.lock.held:
        parts.append(f"lock {seen.lock.key} held by {seen.lock.run}")
        if seen.lock.token is not None:
            parts.append(f"token {seen.lock.token}")
    elif seen.lock is not None:
        parts.append(f"lock {seen.lock.key} free")
    return ", ".join(parts)


def _panel(seen: Observation) -> Group:
    facts = Table.grid(padding=(0, 2))
    facts.add_row(Text("run", "dim"), seen.run.run, Text("phase", "dim"), Text(seen.phase, "bold cyan"))
    attempt, lock, progress = seen.attempt, seen.lock, seen.progress
    facts.add_row(
        Text("step", "dim"),
        f"{attempt.step}, attempt {attempt.number}" if attempt else "-",
        Text("lock", "dim"),
        f"{lock.key}: {lock.state}, token {lock.token or '-'}" if lock else "-",
    )
    if progress is None or not progress.total:
        return Group(Text("-" * 78, "dim"), facts)
    bar = Table.grid(padding=(0, 2))
    to_go = f"{progress.eta_seconds:.0f} s to go" if progress.eta_seconds is not None else ""
    bar.add_row(
        Text(progress.phase or "progress", "dim"),
        ProgressBar(total=progress.total, completed=progress.done, width=40),
        f"{progress.percent or 0:.0f} %",
        f"{progress.done:g}/{progress.total:g}",
        to_go,
    )
    return Group(Text("-" * 78, "dim"), facts, bar)
