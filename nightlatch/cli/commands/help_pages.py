"""`explain`, `help` and `completion`."""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from nightlatch.cli import tree
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.output import Column
from nightlatch.cli.registration import command
from nightlatch.cli.settings import SHARED, Format
from nightlatch.operations.codes import EXIT_MEANINGS, ErrorCode, ExitCode, every_code
from nightlatch.operations.errors import OperationError, nearest


class Shell(StrEnum):
    """Shells that completion is written for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


class Topic(StrEnum):
    """Pages of `nightlatch help`."""

    EXIT_CODES = "exit-codes"
    ENVIRONMENT = "environment"
    ERROR_CODES = "error-codes"


@command(
    tree.app,
    "explain",
    panel=tree.HELP,
    examples=["nightlatch explain LOCK-003"],
)
def explain(
    invocation: Invocation,
    code: Annotated[str, typer.Argument(metavar="CODE", help="An error code, for example LOCK-003.")],
) -> None:
    """Explain an error code: why it happens and what to do."""
    codes = every_code()
    entry = codes.get(code.upper())
    if entry is None:
        guess = nearest(code.upper(), codes)
        tries = [f"nightlatch explain {guess}"] if guess else []
        raise OperationError(
            "USE-001", f"no error has the code {code}", tries=[*tries, "nightlatch help error-codes"]
        )

    def view(shown: ErrorCode) -> None:
        invocation.out.line(f"{shown.code}  {shown.title}")
        invocation.out.line()
        invocation.out.paragraph(shown.text)
        invocation.out.line()
        invocation.out.line(f"exit status {int(shown.exit_code)}: {EXIT_MEANINGS[shown.exit_code]}")

    invocation.out.record("error_code", entry, name=entry.code, view=view)


@command(
    tree.app,
    "help",
    panel=tree.HELP,
    examples=["nightlatch help exit-codes", "nightlatch help environment -o json"],
)
def help_page(
    invocation: Invocation,
    topic: Annotated[Topic, typer.Argument(metavar="TOPIC", help="exit-codes, error-codes or environment.")],
) -> None:
    """Read about exit codes, error codes, or environment variables."""
    if topic is Topic.EXIT_CODES:
        codes: list[Column[ExitCode]] = [
            Column("CODE", int, right=True),
            Column("NAME", lambda code: code.name.lower()),
            Column("MEANING", EXIT_MEANINGS.__getitem__),
        ]
        if invocation.out.machine:
            items = [{"code": int(c), "name": c.name.lower(), "meaning": EXIT_MEANINGS[c]} for c in ExitCode]
            invocation.out.document("exit_codes", items)
        else:
            invocation.out.records("exit_codes", list(ExitCode), codes, name=lambda code: str(int(code)))
    elif topic is Topic.ERROR_CODES:
        columns: list[Column[ErrorCode]] = [
            Column("CODE", lambda entry: entry.code),
            Column("EXIT", lambda entry: int(entry.exit_code), right=True),
            Column("WHAT HAPPENED", lambda entry: entry.title),
        ]
        invocation.out.records(
            "error_codes", list(every_code().values()), columns, name=lambda entry: entry.code
        )
    else:
        rows = [
            {"variable": option.variable, "option": option.flags[0], "meaning": option.help}
            for option in SHARED
        ]
        invocation.out.records(
            "environment",
            rows,
            [
                Column("VARIABLE", lambda row: row["variable"]),
                Column("OPTION", lambda row: row["option"]),
                Column("MEANING", lambda row: row["meaning"]),
            ],
            name=lambda row: row["variable"],
        )


@command(
    tree.app,
    "completion",
    panel=tree.HELP,
    examples=[
        "nightlatch completion bash > ~/.local/share/bash-completion/completions/nightlatch",
        "nightlatch completion zsh > ~/.zfunc/_nightlatch",
    ],
)
def completion(
    invocation: Invocation,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
) -> None:
    """Write the completion script of a shell to stdout."""
    script = get_completion_script(
        prog_name="nightlatch", complete_var="_NIGHTLATCH_COMPLETE", shell=shell.value
    )
    if invocation.out.form is Format.JSON:
        invocation.out.document("completion", {"shell": shell.value, "script": script})
    else:
        invocation.out.raw(script + "\n")
