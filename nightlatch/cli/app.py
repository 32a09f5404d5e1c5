"""The whole command line, put together."""

import os
from collections.abc import Sequence

from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.main import get_command

# Each of these registers its commands in `nightlatch.cli.tree` when it is imported.
from nightlatch.cli.commands import (  # noqa: F401
    definition,
    doctor,
    help_pages,
    history,
    jobs,
    local,
    locks,
    schedule,
    show,
    start,
    stop,
    watch,
    why,
)
from nightlatch.cli.tree import app
from nightlatch.operations.codes import ExitCode

PROGRAM = "nightlatch"
COMPLETE_VARIABLE = "_NIGHTLATCH_COMPLETE"


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit status."""
    if COMPLETE_VARIABLE in os.environ:
        completion_init()
    try:
        get_command(app).main(list(arguments), prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else ExitCode.FAILED
    return ExitCode.OK
