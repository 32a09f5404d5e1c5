"""`history`: past runs."""

from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import MaybeJobArgument
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import chosen_jobs
from nightlatch.cli.output import Column, Seconds
from nightlatch.cli.registration import command
from nightlatch.cli.times import parse_moment
from nightlatch.operations.history import history as past_runs
from nightlatch.operations.runs import Outcome, Run


@command(
    tree.app,
    "history",
    panel=tree.DAILY,
    examples=[
        "nightlatch history nightly-articles",
        "nightlatch history --since 7d --outcome failed --outcome timed_out",
        "nightlatch history nightly-articles -n 100 -o jsonl | jq -r .reason",
    ],
)
def history(
    invocation: Invocation,
    job: MaybeJobArgument = None,
    *,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Nothing older: a duration or a moment.")
    ] = None,
    outcome: Annotated[
        list[Outcome] | None, typer.Option("--outcome", help="Only this outcome; may be repeated.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="At most so many.")
    ] = 20,
) -> None:
    """List past and present runs, newest first."""
    jobs = chosen_jobs(invocation, job)
    moment = None if since is None else parse_moment(since, "--since", invocation.now())
    runs = past_runs(invocation.deployment, jobs, since=moment, outcomes=outcome or (), limit=limit)
    columns: list[Column[Run]] = [
        Column("RUN", lambda run: run.run),
        Column("OUTCOME", lambda run: run.outcome.value),
        Column("STARTED", lambda run: run.started_at),
        Column("TOOK", lambda run: Seconds(run.seconds(invocation.now())), right=True),
        Column("BY", lambda run: run.requested_by or run.trigger),
        Column("WHY", run_note),
    ]
    invocation.out.records("runs", runs, columns, name=lambda run: run.run)
    if not runs:
        invocation.talk.note("no runs yet")
    elif runs[0].outcome is not Outcome.SUCCEEDED:
        invocation.talk.hint(f"nightlatch show {runs[0].run}")


def run_note(run: Run) -> str | None:
    """Why a run ended as it did, in a few words."""
    if run.held_by is not None and run.held_by.run:
        return f"held by {run.held_by.run}"
    if run.outcome in (Outcome.SUCCEEDED, Outcome.RUNNING):
        return run.requested_reason
    return run.reason or run.error
