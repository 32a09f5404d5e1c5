"""The entry point of the console script.

This module imports nothing heavy. `nightlatch --version` is what a script or a shell prompt calls, and it
must not pay for boto3, pydantic, typer and rich.
"""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments without the program's name; by default those of the process.

    Returns:
        The exit status, a member of `nightlatch.operations.codes.ExitCode`.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if arguments in (["--version"], ["-V"]):
        from nightlatch import __version__  # noqa: PLC0415  the short way round everything below

        sys.stdout.write(f"nightlatch {__version__}\n")
        return 0
    from nightlatch.cli.app import run  # noqa: PLC0415  typer and rich are loaded only when they are needed

    return run(arguments)
