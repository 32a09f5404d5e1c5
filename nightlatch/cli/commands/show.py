"""`show`: one job or one run in full."""

from dataclasses import dataclass
from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import complete_job
from nightlatch.cli.attendance import lock_key
from nightlatch.cli.changes import attempt_text, fan_out_text, progress_text, shard_failure_text
from nightlatch.cli.commands.history import run_note
from nightlatch.cli.commands.jobs import lock_text, next_text
from nightlatch.cli.documents import run_document
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import known_jobs
from nightlatch.cli.output import Cell, Seconds
from nightlatch.cli.registration import command
from nightlatch.operations.executions import find_run
from nightlatch.operations.history import job_history
from nightlatch.operations.job_status import JobStatus, list_jobs
from nightlatch.operations.observation import Observation, Watcher
from nightlatch.operations.runs import Run


@dataclass(frozen=True)
class JobPage:
    """A job in full, as JSON shows it."""

    status: JobStatus
    lease_seconds: int | None
    run_timeout_seconds: int | None
    on_conflict: str | None
    recent: list[Run]


_RECENT = 5


@command(
    tree.app,
    "show",
    panel=tree.DAILY,
    examples=[
        "nightlatch show nightly-articles",
        "nightlatch show nightly-articles-20261121T210000Z-3f9a2c -o json",
    ],
)
def show(
    invocation: Invocation,
    job_or_run: Annotated[
        str, typer.Argument(metavar="JOB|RUN", help="Job name or run id.", autocompletion=complete_job)
    ],
) -> None:
    """Show one job, or one run with its attempts, in full."""
    if job_or_run in known_jobs(invocation):
        _show_job(invocation, job_or_run)
    else:
        _show_run(invocation, job_or_run)


def _show_job(invocation: Invocation, name: str) -> None:
    deployment = invocation.deployment
    catalog = invocation.maybe_catalog
    status = list_jobs(deployment, [name], catalog)[0]
    declared = catalog.jobs.get(name) if catalog is not None else None
    page = JobPage(
        status=status,
        lease_seconds=declared.lease_seconds if declared else None,
        run_timeout_seconds=declared.run_timeout_seconds if declared else None,
        on_conflict=str(declared.lock.on_conflict) if declared else None,
        recent=job_history(deployment, name, limit=_RECENT) if status.deployed else [],
    )
    invocation.out.record("job", page, name=name, view=lambda shown: _job_view(invocation, shown))
    invocation.talk.hint(f"nightlatch run {name} --watch    nightlatch why {name}")


def _job_view(invocation: Invocation, page: JobPage) -> None:
    out, status = invocation.out, page.status
    schedule = f"{status.expression} in {status.timezone}" if status.expression else None
    paused = f"by {status.paused_by}: {status.paused_reason}" if status.paused_by else None
    out.facts(
        [
            ("job", status.job),
            ("what", status.description),
            ("schedule", schedule),
            ("next", next_text(status)),
            ("paused", paused),
            ("lock", lock_text(status)),
            ("on conflict", page.on_conflict),
            ("time limit", Seconds(page.run_timeout_seconds) if page.run_timeout_seconds else None),
            ("lease", Seconds(page.lease_seconds) if page.lease_seconds else None),
            ("running", ", ".join(run.run for run in status.running)),
        ]
    )
    catalog = invocation.maybe_catalog
    if catalog is not None and status.job in catalog.jobs:
        out.heading("steps")
        for step in catalog.jobs[status.job].steps:
            retries = ", ".join(f"{cause} {count}" for cause, count in step.retry.items() if count)
            limit = out.cell(Seconds(step.timeout_seconds))
            retry = f", retries: {retries}" if retries else ""
            out.line(f"  {step.name}  {' '.join(step.command)}  at most {limit}{retry}")
    if page.recent:
        out.heading("recent runs")
        for run in page.recent:
            note = run_note(run)
            out.line(
                f"  {run.run}  {run.outcome.value}  {out.moment(run.started_at)}"
                + (f"  {note}" if note else "")
            )


def _show_run(invocation: Invocation, name: str) -> None:
    deployment = invocation.deployment
    run = find_run(deployment, name, known_jobs(invocation))
    key = lock_key(invocation, deployment, run.job) if run.running else None
    seen = Watcher(deployment, run, lock_key=key).look()
    if invocation.out.machine:
        invocation.out.document("run", run_document(seen))
    else:
        invocation.out.record("run", seen, name=run.run, view=lambda shown: run_view(invocation, shown))
    if run.running:
        invocation.talk.hint(f"nightlatch watch {run.run}")
    elif seen.attempts:
        invocation.talk.hint(f"nightlatch logs {run.run}")


def run_view(invocation: Invocation, seen: Observation) -> None:
    """A run for people."""
    out, run = invocation.out, seen.run
    held = run.held_by
    out.facts(
        [
            ("run", run.run),
            ("job", run.job),
            ("outcome", run.outcome.value),
            ("phase", seen.phase if run.running else None),
            ("started", run.started_at),
            ("ended", run.ended_at),
            ("took" if run.ended_at else "so far", Seconds(run.seconds(invocation.now()))),
            ("trigger", run.trigger),
            ("scheduled for", run.scheduled_time),
            ("requested by", run.requested_by),
            ("because", run.requested_reason),
            ("parameters", " ".join(f"{key}={value}" for key, value in run.params.items())),
            ("step", run.step),
            ("class", run.failure_class),
            ("exit code", run.exit_code),
            ("why", run.reason or run.error),
            ("held by", (held.run or held.owner) if held else None),
            ("held since", held.acquired_at if held else None),
            ("held token", held.token if held else None),
            ("progress", progress_text(seen.progress) if seen.progress else None),
            ("lock", _lock_line(seen)),
        ]
    )
    if seen.attempts:
        out.heading("attempts")
    for attempt in seen.attempts:
        seconds = ((attempt.ended_at or seen.at) - attempt.started_at).total_seconds()
        out.line(
            f"  {attempt.step} {attempt.number}  {attempt_text(attempt, seconds)}  {_task(attempt.task_id)}"
        )
    if seen.fan_outs:
        out.heading("shards")
    for fan_out in seen.fan_outs:
        seconds = ((fan_out.ended_at or seen.at) - fan_out.started_at).total_seconds()
        out.line(f"  {fan_out.step}  {fan_out_text(fan_out, seconds)}")
        for failure in fan_out.failures:
            out.line(f"    {shard_failure_text(failure)}")


def _task(task_id: str | None) -> str:
    return f"task {task_id}" if task_id else ""


def _lock_line(seen: Observation) -> Cell:
    lock = seen.lock
    if lock is None or not seen.run.running:
        return None
    if not lock.held:
        return f"{lock.key} is free"
    holder = "this run" if lock.owner == seen.run.execution_arn else lock.run
    return (
        f"{lock.key} is held by {holder}, token {lock.token if lock.token is not None else 'not claimed yet'}"
    )
