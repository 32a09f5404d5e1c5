"""`schedule`: when jobs start, and holding them back."""

from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import JobArgument, MaybeJobArgument
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import chosen_jobs, need_job
from nightlatch.cli.output import Column
from nightlatch.cli.registration import command
from nightlatch.operations.errors import OperationError, no_such_job
from nightlatch.operations.schedules import (
    DatedFiring,
    ScheduleStatus,
    coming_firings,
    list_schedules,
    pause_schedule,
    read_schedule,
    resume_schedule,
)
from nightlatch.operations.start import operator_name


@command(
    tree.schedule,
    "schedule",
    "list",
    examples=["nightlatch schedule list", "nightlatch schedule list --env prod --time local"],
)
def list_(invocation: Invocation) -> None:
    """List schedules: state, time zone, next firing, paused by whom and why."""
    found = list_schedules(invocation.deployment, chosen_jobs(invocation, None), invocation.maybe_catalog)
    columns: list[Column[ScheduleStatus]] = [
        Column("JOB", lambda status: status.job),
        Column("STATE", lambda status: status.state),
        Column("NEXT", lambda status: status.next_at),
        Column("EXPRESSION", lambda status: status.expression),
        Column("TIME ZONE", lambda status: status.timezone),
        Column("PAUSED BY", lambda status: status.paused_by),
        Column("BECAUSE", lambda status: status.paused_reason),
    ]
    invocation.out.records("schedules", found, columns, name=lambda status: status.job)
    if not found:
        invocation.talk.note("no schedules")


@command(
    tree.schedule,
    "schedule",
    "next",
    examples=["nightlatch schedule next", "nightlatch schedule next nightly-articles -n 30 --dst"],
)
def next_(
    invocation: Invocation,
    job: MaybeJobArgument = None,
    *,
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", min=1, max=1000, help="So many of each job.")
    ] = 5,
    dst: Annotated[
        bool,
        typer.Option(
            "--dst", help="Only those that a change of clocks skips or repeats, within 1000 firings."
        ),
    ] = False,
) -> None:
    """Show the coming firings, with marks where a change of clocks skips or repeats one.

    Reads the jobs file; asks AWS only for a job that is not in it.
    """
    catalog = invocation.maybe_catalog
    schedules: list[tuple[str, str, str]] = []
    if catalog is not None and (job is None or job in catalog.jobs):
        for name in [job] if job is not None else catalog.jobs:
            declared = catalog.jobs[name].schedule
            if declared is not None:
                schedules.append((name, declared.expression, declared.timezone))
    elif job is not None:
        if catalog is not None and invocation.settings.local:
            raise no_such_job(job, catalog.jobs)
        status = read_schedule(invocation.deployment, need_job(invocation, job))
        if status is not None:
            schedules.append((job, status.expression, status.timezone))
    else:
        invocation.need_jobs_file()
    if not schedules and job is not None:
        raise OperationError("SCHED-001", f"{job} has no schedule", tries=[f"nightlatch run {job}"])
    firings = coming_firings(schedules, invocation.now(), 1000 if dst else count)
    if dst:
        firings = [firing for firing in firings if firing.note]
    columns: list[Column[DatedFiring]] = [
        Column("JOB", lambda firing: firing.job),
        Column("AT", lambda firing: firing.at),
        Column("WALL CLOCK", lambda firing: firing.local),
        Column("TIME ZONE", lambda firing: firing.timezone),
        Column("NOTE", lambda firing: firing.note),
    ]
    invocation.out.records("firings", firings, columns, name=lambda firing: firing.job)
    if dst and not firings:
        invocation.talk.note("no firing is skipped or repeated by a change of clocks")


@command(
    tree.schedule,
    "schedule",
    "pause",
    examples=["nightlatch schedule pause nightly-articles --reason 'the image host is being moved'"],
)
def pause(
    invocation: Invocation,
    job: JobArgument,
    *,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; shown wherever the job is.")
    ] = None,
) -> None:
    """Hold a job's schedule back, and its watchdog with it. Says who and why wherever the job is shown."""
    need_job(invocation, job)
    why = reason or invocation.talk.ask("why?")
    if not why:
        raise OperationError("USE-001", "pausing a schedule needs --reason", tries=["--reason TEXT"])
    status = pause_schedule(invocation.deployment, job, by=operator_name(), reason=why)
    _show(invocation, status)
    invocation.talk.hint(f"nightlatch schedule resume {job}")


@command(
    tree.schedule,
    "schedule",
    "resume",
    examples=["nightlatch schedule resume nightly-articles"],
)
def resume(invocation: Invocation, job: JobArgument) -> None:
    """Let a paused schedule fire again. Firings that were missed are not made up for."""
    need_job(invocation, job)
    _show(invocation, resume_schedule(invocation.deployment, job))


def _show(invocation: Invocation, status: ScheduleStatus) -> None:
    def view(shown: ScheduleStatus) -> None:
        invocation.out.facts(
            [
                ("job", shown.job),
                ("state", shown.state),
                ("next", shown.next_at),
                ("paused by", shown.paused_by),
                ("because", shown.paused_reason),
            ]
        )

    invocation.out.record("schedule", status, name=status.job, view=view)
