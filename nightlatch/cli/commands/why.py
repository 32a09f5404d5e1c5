"""`why`: what became of a firing."""

from datetime import datetime
from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import JobArgument
from nightlatch.cli.attendance import held_facts, lock_key
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import need_job
from nightlatch.cli.registration import command
from nightlatch.cli.times import parse_moment
from nightlatch.operations.local_server import read_server
from nightlatch.operations.why import Explanation, explain


@command(
    tree.app,
    "why",
    panel=tree.DAILY,
    examples=["nightlatch why nightly-articles", "nightlatch why nightly-articles --at 02:00 --env prod"],
)
def why(
    invocation: Invocation,
    job: JobArgument,
    *,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", help="The firing at or before this moment; by default the latest."
        ),
    ] = None,
) -> None:
    """Explain why a job ran, did not run, or is late."""
    need_job(invocation, job)
    deployment = invocation.deployment
    moment = None if at is None else parse_moment(at, "--at", invocation.now())
    try:
        key = lock_key(invocation, deployment, job)
    except deployment.clients.stepfunctions.exceptions.StateMachineDoesNotExist:
        key = None
    found = explain(deployment, job, lock_key=key, at=moment, local_up_since=_up_since(invocation))
    invocation.out.record(
        "explanation", found, name=found.verdict.name.lower(), view=lambda it: _view(invocation, it)
    )
    for advice in found.tries:
        invocation.talk.hint(advice)


def _up_since(invocation: Invocation) -> datetime | None:
    return read_server(invocation.state_folder).started_at if invocation.settings.local else None


def _view(invocation: Invocation, found: Explanation) -> None:
    out, run = invocation.out, found.run
    out.line(f"{found.job}: {found.verdict.value}")
    rows: list[tuple[str, str | datetime | None]] = [
        ("scheduled for", found.firing.at if found.firing else None),
        (
            "wall clock",
            f"{found.firing.local} {found.schedule.timezone}" if found.firing and found.schedule else None,
        ),
    ]
    if run is not None:
        rows += [
            ("run", run.run),
            ("started", run.started_at),
            ("ended", run.ended_at),
            ("step", run.step),
            ("why", run.reason or run.error),
            *held_facts(invocation, run.held_by),
        ]
    rows.append(("next", found.schedule.next_at if found.schedule else None))
    out.facts(list(rows), indent=2)
    if found.evidence:
        out.heading("looked at")
        for line in found.evidence:
            out.line(f"  {line}")
