"""`jobs` and `status`: all jobs at a glance."""

from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import MaybeJobArgument
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import chosen_jobs, known_jobs
from nightlatch.cli.output import Cell, Column
from nightlatch.cli.registration import command
from nightlatch.cli.times import span
from nightlatch.operations.job_status import JobStatus, declared_status, list_jobs, troubled
from nightlatch.operations.locks import STALE


@command(
    tree.app,
    "jobs",
    panel=tree.DAILY,
    examples=[
        "nightlatch jobs",
        "nightlatch jobs --failing -o name",
        "nightlatch jobs --env prod --time local",
    ],
)
def jobs(
    invocation: Invocation,
    *,
    failing: Annotated[
        bool, typer.Option("--failing", help="Only those whose last run or schedule is not well.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only what the jobs file says; ask no AWS.")
    ] = False,
) -> None:
    """List jobs: schedule, next firing, last outcome, lock."""
    found = _found(invocation, offline=offline)
    if failing:
        found = [status for status in found if troubled(status)]
    columns: list[Column[JobStatus]] = [
        Column("JOB", lambda status: status.job),
        Column("NEXT", next_text),
        Column("LAST", last_text),
        Column("ENDED", lambda status: status.last.ended_at if status.last else None),
        Column("LOCK", lock_text),
        Column("STEPS", lambda status: ", ".join(status.steps)),
    ]
    invocation.out.records("jobs", found, columns, name=lambda status: status.job)
    if not found:
        invocation.talk.note("no jobs" + (" need a look" if failing else ""))


def _found(invocation: Invocation, *, offline: bool) -> list[JobStatus]:
    if offline:
        return [declared_status(invocation.catalog, job, invocation.now()) for job in invocation.catalog.jobs]
    return list_jobs(invocation.deployment, known_jobs(invocation), invocation.maybe_catalog)


def next_text(status: JobStatus) -> Cell:
    """When a job starts next, or why it does not."""
    if status.expression is None:
        return "by hand"
    if status.schedule_state in (None, "enabled"):
        return status.next_at
    if status.schedule_state == "missing":
        return "not deployed"
    return status.schedule_state


def last_text(status: JobStatus) -> str | None:
    """How a job stands: running, or its last outcome."""
    if status.running:
        return "running"
    return status.last.outcome.value if status.last else None


def lock_text(status: JobStatus) -> str | None:
    """A job's lock in a few words."""
    if status.lock is None:
        return status.lock_key
    return f"{status.lock.key} {status.lock.state}"


@command(
    tree.app,
    "status",
    panel=tree.DAILY,
    examples=["nightlatch status", "nightlatch status nightly-articles -o json"],
)
def status(invocation: Invocation, job: MaybeJobArgument = None) -> None:
    """Show what needs attention now: runs, waiters, dead holders, paused schedules, bad ends."""
    found = list_jobs(invocation.deployment, chosen_jobs(invocation, job), invocation.maybe_catalog)
    out = invocation.out
    if out.machine or out.form.value == "name":
        out.records("status", found, [], name=lambda status: status.job)
        return
    quiet = True
    for entry in found:
        for line in attention(entry, invocation):
            quiet = False
            out.line(line)
    if quiet:
        out.line("nothing is running and nothing needs attention")
    coming = sorted((entry.next_at, entry.job) for entry in found if entry.next_at is not None)
    if coming:
        at, name = coming[0]
        out.line(f"next: {name} {out.moment(at)}")
    busy = next((entry for entry in found if entry.running), None)
    if busy is not None:
        invocation.talk.hint(f"nightlatch watch {busy.job}")


def attention(status: JobStatus, invocation: Invocation) -> list[str]:
    """One line for each thing about a job that deserves attention."""
    now = invocation.now()
    lines = []
    for run in status.running:
        waits = status.lock is not None and status.lock.held and status.lock.owner != run.execution_arn
        verb = "waits for its lock" if waits else "is running"
        lines.append(f"{status.job}: {run.run} {verb} for {span(run.seconds(now))}")
    if status.deployed is False:
        lines.append(f"{status.job}: not deployed")
    if status.lock is not None and status.lock.state == STALE:
        lines.append(f"{status.job}: its lock is held by {status.lock.run}, which has ended")
    if status.schedule_state in ("paused", "disabled", "missing"):
        why = f" by {status.paused_by}: {status.paused_reason}" if status.paused_by else ""
        lines.append(f"{status.job}: its schedule is {status.schedule_state}{why}")
    if status.last is not None and status.last.outcome.value in ("failed", "timed_out"):
        ended = f" {span((now - status.last.ended_at).total_seconds())} ago" if status.last.ended_at else ""
        outcome = status.last.outcome.value.replace("_", " ")
        lines.append(f"{status.job}: {status.last.run} {outcome}{ended}: {status.last.reason or '-'}")
    return lines
