"""Arguments and options that several commands share, with their completion."""

from typing import Annotated

import typer


def complete_job(incomplete: str) -> list[str]:
    """Job names from the jobs file. Completion never waits for AWS."""
    import os  # noqa: PLC0415  completion is a rare path; the imports stay out of every other command
    from pathlib import Path  # noqa: PLC0415

    from nightlatch.catalog import load_catalog  # noqa: PLC0415
    from nightlatch.cli.invocation import find_jobs_file  # noqa: PLC0415

    named = os.environ.get("NIGHTLATCH_FILE")
    path = Path(named) if named else find_jobs_file(Path.cwd())
    if path is None:
        return []
    try:
        catalog = load_catalog(path, os.environ.get("NIGHTLATCH_ENV", "local"))
    except Exception:  # noqa: BLE001  a shell that completes must never be interrupted by an error
        return []
    return [name for name in catalog.jobs if name.startswith(incomplete)]


JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Job name.", autocompletion=complete_job)]
MaybeJobArgument = Annotated[
    str | None,
    typer.Argument(metavar="JOB", help="Job name; all jobs without it.", autocompletion=complete_job),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run id, as `run` and `history` show it.")]
RunOrJobArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN|JOB", help="Run id, or a job: its running or latest run.", autocompletion=complete_job
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; recorded with your name.")
]
