"""The whole command line, put together."""

import importlib
import os
from collections.abc import Sequence

from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.main import get_command

from nightlatch.cli.tree import app
from nightlatch.operations.codes import ExitCode

PROGRAM = "nightlatch"
COMPLETE_VARIABLE = "_NIGHTLATCH_COMPLETE"

# Which module of `nightlatch.cli.commands` holds the command behind each first word. A module registers
# its commands when it is imported, and imports what they need: boto3, pydantic.
MODULES = {
    "completion": "help_pages",
    "doctor": "doctor",
    "explain": "help_pages",
    "help": "help_pages",
    "history": "history",
    "jobs": "jobs",
    "local": "local",
    "locks": "locks",
    "logs": "watch",
    "redrive": "start",
    "render": "definition",
    "run": "start",
    "schedule": "schedule",
    "show": "show",
    "status": "jobs",
    "stop": "stop",
    "validate": "definition",
    "watch": "watch",
    "why": "why",
}
# The order in which the help shows them.
_ORDER = (
    "jobs",
    "show",
    "start",
    "watch",
    "stop",
    "history",
    "why",
    "locks",
    "schedule",
    "definition",
    "local",
    "doctor",
    "help_pages",
)


def register(words: Sequence[str] = ()) -> None:
    """Register the commands that a command line may mean: one module's, or all."""
    one = MODULES.get(words[0]) if words and COMPLETE_VARIABLE not in os.environ else None
    for name in [one] if one is not None else _ORDER:
        importlib.import_module(f"nightlatch.cli.commands.{name}")


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit status."""
    register(arguments)
    if COMPLETE_VARIABLE in os.environ:
        completion_init()
    try:
        get_command(app).main(list(arguments), prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else ExitCode.FAILED
    return ExitCode.OK
