"""Job names that a command may be given: those of the jobs file and those of the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlatch.operations.errors import no_such_job

if TYPE_CHECKING:
    from nightlatch.cli.invocation import Invocation


def known_jobs(invocation: Invocation) -> list[str]:
    """All job names, those of the jobs file first, in its order."""
    catalog = invocation.maybe_catalog
    names = list(catalog.jobs) if catalog is not None else []
    return names + [name for name in invocation.deployment.installation.jobs if name not in names]


def need_job(invocation: Invocation, name: str) -> str:
    """The name, if there is such a job.

    Raises:
        OperationError: There is none (JOB-001).
    """
    names = known_jobs(invocation)
    if name not in names:
        raise no_such_job(name, names)
    return name


def chosen_jobs(invocation: Invocation, name: str | None) -> list[str]:
    """The one job that was named, or all."""
    return known_jobs(invocation) if name is None else [need_job(invocation, name)]
