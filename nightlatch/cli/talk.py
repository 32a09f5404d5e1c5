"""Talk on stderr: notes, hints, errors, questions. Never data."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.text import Text

from nightlatch.cli.settings import Color
from nightlatch.operations.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightlatch.cli.settings import Settings

_LABEL_WIDTH = 10


def make_console(stream: TextIO, color: Color, environ: Mapping[str, str] | None = None) -> Console:
    """A console that follows `--color`, NO_COLOR, CLICOLOR_FORCE and FORCE_COLOR, in this order."""
    variables = os.environ if environ is None else environ
    forced = variables.get("CLICOLOR_FORCE", "0") not in ("", "0") or bool(variables.get("FORCE_COLOR"))
    terminal = stream.isatty()
    if color is Color.ALWAYS:
        use = True
    elif color is Color.NEVER or variables.get("NO_COLOR"):
        use = False
    else:
        use = terminal or forced
    return Console(
        file=stream,
        # Only colour is forced here; whether to redraw is decided from the stream itself.
        force_terminal=use or terminal,
        no_color=not use,
        color_system="auto" if use and terminal else ("standard" if use else None),
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


class Talk:
    """What the command says to the person, on stderr."""

    def __init__(self, console: Console, settings: Settings) -> None:
        self.console = console
        self._settings = settings

    def note(self, text: str) -> None:
        """Something worth knowing; silent under `-q`."""
        if not self._settings.quiet:
            self.console.print(Text(text), soft_wrap=True)

    def detail(self, text: str) -> None:
        """Something worth knowing only under `-v`."""
        if self._settings.verbose:
            self.console.print(Text(text, style="dim"), soft_wrap=True)

    def warning(self, text: str) -> None:
        """Something that may hurt; shown under `-q` as well."""
        self.console.print(Text("warning  ", style="yellow").append(text, style="not yellow"), soft_wrap=True)

    def hint(self, command: str) -> None:
        """The next command that makes sense."""
        if not self._settings.quiet:
            self.console.print(
                Text("next      ", style="dim").append(command, style="not dim"), soft_wrap=True
            )

    def error(self, error: OperationError) -> None:
        """What happened, why, and what to try."""
        line = Text(f"error[{error.code}]", style="bold red")
        line.append(f": {error.message}", style="not bold default")
        self.console.print(line, soft_wrap=True)
        for label, value in error.facts:
            self._pair(label, value)
        for position, advice in enumerate(error.tries):
            self._pair("try" if position == 0 else "", advice)
        self._pair("more", f"nightlatch explain {error.code}")
        if error.request_id:
            self._pair("request", f"AWS request id {error.request_id}")

    def _pair(self, label: str, value: str) -> None:
        first, *rest = value.splitlines() or [""]
        line = Text("  " + label.ljust(_LABEL_WIDTH), style="dim").append(first, style="not dim")
        self.console.print(line, soft_wrap=True)
        for text in rest:
            self.console.print(Text(" " * (_LABEL_WIDTH + 2) + text), soft_wrap=True)

    @property
    def can_ask(self) -> bool:
        """Whether there is a person to ask."""
        return not self._settings.no_input and sys.stdin.isatty()

    def confirm(self, question: str, *, yes: bool, flag: str = "--yes") -> bool:
        """Ask before something is destroyed.

        Args:
            question: A yes-or-no question.
            yes: The answer was given on the command line.
            flag: The option that gives the answer.

        Raises:
            OperationError: Nobody can answer (USE-002).
        """
        if yes:
            return True
        if not self.can_ask:
            raise OperationError(
                "USE-002", f"not confirmed: {question}", tries=[f"the same command with {flag}"]
            )
        self.console.print(Text(f"{question} [y/N] "), end="")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def ask(self, question: str) -> str:
        """Ask for a line of text; empty when nobody can answer."""
        if not self.can_ask:
            return ""
        self.console.print(Text(f"{question} "), end="")
        return sys.stdin.readline().strip()
