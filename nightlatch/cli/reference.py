"""The reference page of the command line: ``python -m nightlatch.cli.reference > docs/cli.md``.

It is made from the very declarations that make `--help`, and a test holds the committed page equal to it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, get_args

from typer.main import get_command

from nightlatch.cli.app import register
from nightlatch.cli.registration import EXAMPLES, SHARED_PANEL
from nightlatch.cli.settings import SHARED
from nightlatch.cli.tree import app
from nightlatch.operations.codes import EXIT_MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
# Command line

<!-- Made by `python -m nightlatch.cli.reference > docs/cli.md`; a test holds it equal to the program. -->

Data goes to stdout, talk to stderr. In a terminal, lists are tables; in a pipe they are tab-separated lines
without a head, uncut. `-o json` gives one document with a `schema_version`, `-o jsonl` one document a line,
`-o name` names only. Ctrl-C while watching detaches and never stops the run.
"""


def leaves() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words, in the order of the help."""
    register()
    yield from _walk((), get_command(app))


def _walk(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name in command.list_commands(None):
        yield from _walk((*words, name), command.commands[name])


def page() -> str:
    """The whole page."""
    parts = [_HEAD, _shared(), _exit_codes()]
    for words, command in leaves():
        parts.append(_section(words, command))
    return "\n".join(parts)


def _shared() -> str:
    rows = [
        f"| {_flags(option.flags, option.metavar, option.kind)} | `{option.variable}` | {option.help} |"
        for option in SHARED
    ]
    return "\n".join(
        [
            "## Shared options",
            "",
            "Every command takes them, before or after its name. An option after the name wins over one",
            "before it, and both win over the variable.",
            "",
            "| option | variable | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _exit_codes() -> str:
    rows = [f"| {int(code)} | {meaning} |" for code, meaning in EXIT_MEANINGS.items()]
    return "\n".join(["## Exit status", "", "| status | meaning |", "|---|---|", *rows, ""])


def _section(words: tuple[str, ...], command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [
        param
        for param in command.params
        if param.param_type_name == "option" and getattr(param, "rich_help_panel", None) != SHARED_PANEL
    ]
    usage = " ".join(["nightlatch", *words, *(_argument(param) for param in arguments)])
    lines = [f"## nightlatch {' '.join(words)}", "", f"    {usage} [OPTIONS]", "", command.help, ""]
    rows = [f"| {_cell(_argument(param))} | {param.help} |" for param in arguments]
    rows += [
        f"| {_flags((*param.opts, *param.secondary_opts), param.metavar, param.type_descriptor.annotation)} "
        f"| {_default(param)} |"
        for param in options
    ]
    if rows:
        lines += ["| option | meaning |", "|---|---|", *rows, ""]
    lines += ["```sh", *EXAMPLES[words], "```", ""]
    return "\n".join(lines)


def _argument(param: Any) -> str:
    return param.metavar if param.required else f"[{param.metavar}]"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(param: Any) -> str:
    shown = (
        f" Default: {param.default}." if isinstance(param.default, int) and param.default is not False else ""
    )
    return f"{param.help}{shown}"


def _flags(flags: tuple[str, ...], metavar: str | None, kind: Any) -> str:
    value = metavar
    if metavar is None:
        inner = next(iter(get_args(kind)), kind)
        members = getattr(inner, "__members__", None)
        value = "\\|".join(member.value for member in members.values()) if members else "VALUE"
    names = ", ".join(f"`{flag}`" for flag in sorted(flags, key=len, reverse=True))
    return f"{names} {value}".strip()


if __name__ == "__main__":
    sys.stdout.write(page())
