"""The live view of a run: redrawn on a terminal, one line per change elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nightlatch.cli.changes import Changes, attempt_text, fan_out_text, progress_text, shard_failure_text
from nightlatch.cli.documents import run_document
from nightlatch.cli.output import STYLES
from nightlatch.cli.settings import Format
from nightlatch.cli.times import span

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType

    from nightlatch.cli.invocation import Invocation
    from nightlatch.operations.observation import Observation

_BAR_WIDTH = 30


class View(Protocol):
    """Shows a run while it is watched."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, leaving the terminal as it was."""

    def show(self, seen: Observation) -> None:
        """Show the run as it is now."""


def view_for(invocation: Invocation) -> View:
    """The view that fits the output."""
    if invocation.out.form is Format.TABLE and invocation.out.terminal:
        return Redrawn(invocation)
    return Lines(invocation)


class Lines:
    """One line, or one JSON document, per change."""

    def __init__(self, invocation: Invocation) -> None:
        self._out = invocation.out
        self._changes = Changes()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to tidy up."""

    def show(self, seen: Observation) -> None:
        """Say what changed."""
        lines = self._changes.of(seen)
        if self._out.form is Format.JSON:
            # A single document comes at the end; until then there is nothing to print.
            if not seen.run.running:
                self._out.document("run", run_document(seen))
        elif self._out.form is Format.JSONL:
            if lines:
                self._out.document("run", run_document(seen))
        elif self._out.form is Format.TABLE:
            for line in lines:
                self._out.line(f"{seen.at.astimezone():%H:%M:%S}  {line}")


class Redrawn:
    """A picture that is drawn again in place."""

    def __init__(self, invocation: Invocation) -> None:
        self._live = Live(
            console=invocation.out.console, auto_refresh=True, refresh_per_second=8, transient=False
        )

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last picture on the screen."""
        self._live.__exit__(kind, error, trace)

    def show(self, seen: Observation) -> None:
        """Draw the run as it is now."""
        self._live.update(picture(seen))


def picture(seen: Observation) -> RenderableType:
    """The run as a picture of at most a screen."""
    parts: list[RenderableType] = [_headline(seen), _attempts(seen)]
    if seen.run.running and seen.progress is not None:
        parts.append(_bar(seen))
    if seen.lock is not None:
        parts.append(_lock(seen))
    return Group(*parts)


def _headline(seen: Observation) -> RenderableType:
    style = STYLES.get(seen.run.outcome.value, "")
    text = Text(seen.run.run, style="bold", no_wrap=True, overflow="ellipsis")
    text.append(f"  {seen.phase}", style=f"not bold {style}".strip())
    text.append(f"  {span(seen.run.seconds(seen.at))}", style="not bold dim")
    if not seen.run.running:
        return text
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Spinner("line"), text)
    return grid


def _attempts(seen: Observation) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for attempt in seen.attempts:
        seconds = ((attempt.ended_at or seen.at) - attempt.started_at).total_seconds()
        table.add_row(
            Text(f"  {attempt.step}"),
            Text(f"attempt {attempt.number}", style="dim"),
            Text(attempt_text(attempt, seconds), style=STYLES.get(attempt.result, "")),
        )
    for fan_out in seen.fan_outs:
        seconds = ((fan_out.ended_at or seen.at) - fan_out.started_at).total_seconds()
        table.add_row(
            Text(f"  {fan_out.step}"),
            Text("shards", style="dim"),
            Text(fan_out_text(fan_out, seconds), style=STYLES.get(fan_out.status, "")),
        )
        for failure in fan_out.failures:
            table.add_row(Text(""), Text(""), Text(shard_failure_text(failure), style=STYLES["failed"]))
    return table


def _bar(seen: Observation) -> RenderableType:
    progress = seen.progress
    if progress is None:
        return Text("")
    grid = Table.grid(padding=(0, 2))
    bar = ProgressBar(
        total=progress.total or 1, completed=progress.done if progress.total else 0, width=_BAR_WIDTH
    )
    grid.add_row(Text(" "), bar, Text(progress_text(progress)))
    return grid


def _lock(seen: Observation) -> RenderableType:
    lock = seen.lock
    text = Text("  lock  ", style="dim", no_wrap=True, overflow="ellipsis")
    if lock is None:
        return text
    if not lock.held:
        text.append(f"{lock.key} is free", style="not dim")
    else:
        holder = "this run" if lock.owner == seen.run.execution_arn else str(lock.run)
        token = f", token {lock.token}" if lock.token is not None else ", not claimed yet"
        text.append(f"{lock.key} is held by {holder}{token}", style="not dim")
    if lock.waiting:
        text.append(f", {len(lock.waiting)} waiting", style="yellow")
    return text
