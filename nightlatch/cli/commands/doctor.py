"""`doctor`: check an environment."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import known_jobs
from nightlatch.cli.output import Column
from nightlatch.cli.registration import command, told
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.doctor import FAULT, OK, SKIPPED, Finding, examine, own_modules

_PACKAGES = ("lock", "statemachine", "tasks", "nightlatch")


@command(
    tree.app,
    "doctor",
    panel=tree.MACHINE,
    examples=["nightlatch doctor", "nightlatch doctor --env prod -o json", "nightlatch doctor --only clock"],
)
def doctor(
    invocation: Invocation,
    *,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check; may be repeated.")
    ] = None,
) -> ExitCode:
    """Check everything a run needs, and name one fix for each fault. Ends with status 12 on a fault.

    Packages, jobs file, endpoint, credentials, clock, tables, cluster, logs, machines (and whether they are
    what the jobs file says), task definitions, images, roles, schedules, alarms and who hears them, locks.
    """
    found = [finding for finding in _examine(invocation) if not only or finding.check in only]
    columns: list[Column[Finding]] = [
        Column("CHECK", lambda finding: finding.check),
        Column("RESULT", lambda finding: finding.result),
        Column("FOUND", lambda finding: finding.found),
        Column("FIX", lambda finding: finding.fix),
    ]
    invocation.out.records(
        "findings", found, columns, name=lambda finding: f"{finding.check} {finding.result}"
    )
    faults = sum(finding.result == FAULT for finding in found)
    if faults:
        invocation.talk.note(f"{faults} fault{'s' if faults > 1 else ''} found")
        return ExitCode.FAULT
    invocation.talk.note("all is well")
    return ExitCode.OK


def _examine(invocation: Invocation) -> Iterator[Finding]:
    yield from own_modules(_owners(), str(Path(__file__).parents[3]))
    try:
        catalog = invocation.maybe_catalog
    except Exception as error:  # noqa: BLE001  a fault is a finding here, whatever it is
        fault = told(invocation, error)
        yield Finding("jobs file", FAULT, fault.message, "nightlatch validate")
        catalog = None
    else:
        if catalog is None:
            yield Finding("jobs file", SKIPPED, "there is none here")
        else:
            yield Finding("jobs file", OK, f"{catalog.path}: {len(catalog.jobs)} jobs")
    try:
        deployment = invocation.deployment
    except Exception as error:  # noqa: BLE001  the same
        fault = told(invocation, error)
        yield Finding("installation", FAULT, fault.message, next(iter(fault.tries), None))
        yield Finding("everything else", SKIPPED, "needs the installation")
        return
    yield Finding("installation", OK, f"{deployment.installation.prefix} in {deployment.installation.region}")
    jobs = known_jobs(invocation) if catalog is not None else list(deployment.installation.jobs)
    yield from examine(deployment, jobs, catalog)


def _owners() -> dict[str, str]:
    owners = {}
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        owners[name] = str(Path(spec.origin).parents[1]) if spec is not None and spec.origin else "nowhere"
    return owners
