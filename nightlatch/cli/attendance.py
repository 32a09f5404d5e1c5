"""Stay with a run until it ends, and give its end as the command's exit status."""

from __future__ import annotations

import time
from contextlib import nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING

from nightlatch.cli.documents import run_document
from nightlatch.cli.live import view_for
from nightlatch.cli.log_text import log_text
from nightlatch.cli.settings import Format
from nightlatch.cli.times import span
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.errors import OperationError
from nightlatch.operations.observation import Observation, Watcher, follow
from nightlatch.operations.runs import HeldBy, Outcome, Run

if TYPE_CHECKING:
    from nightlatch.cli.invocation import Invocation
    from nightlatch.operations.container_logs import LogLine
    from nightlatch.operations.deployment import Deployment


class Attend(StrEnum):
    """How to stay with a run."""

    WAIT = "wait"
    WATCH = "watch"
    LOGS = "logs"


def attend(
    invocation: Invocation,
    run: Run,
    how: Attend,
    *,
    timeout: float | None = None,
    interval: float | None = None,
    fail_on_skip: bool = False,
) -> ExitCode:
    """Stay with a run until it has ended, the time is over, or Ctrl-C.

    Args:
        invocation: The command's invocation.
        run: The run.
        how: Silently, with a live view, or with its logs.
        timeout: Stop waiting after so many seconds.
        interval: Seconds between two looks; by default what the environment's quotas bear.
        fail_on_skip: A skipped or duplicate run is a failure.
    """
    deployment = invocation.deployment
    watcher = Watcher(
        deployment, run, lock_key=lock_key(invocation, deployment, run.job), all_lines=how is Attend.LOGS
    )
    deadline = None if timeout is None else time.monotonic() + timeout
    view = view_for(invocation) if how is Attend.WATCH else None
    seen: Observation | None = None
    try:
        with view or nullcontext():
            for seen in follow(
                watcher,
                interval or deployment.interval,
                until=lambda: deadline is not None and time.monotonic() >= deadline,
                settle=how is Attend.LOGS,
            ):
                if view is not None:
                    view.show(seen)
                if how is Attend.LOGS:
                    for line in seen.lines:
                        show_line(invocation, line)
    except KeyboardInterrupt:
        invocation.talk.note("detached; the run goes on")
        invocation.talk.hint(f"nightlatch watch {run.run}    nightlatch stop {run.run} --reason TEXT")
        return ExitCode.INTERRUPTED
    if seen is None or seen.run.running:
        raise OperationError(
            "RUN-004",
            f"{run.run} is still running",
            tries=[f"nightlatch watch {run.run}", f"nightlatch stop {run.run}"],
        )
    if how is not Attend.WATCH and invocation.out.machine and how is not Attend.LOGS:
        invocation.out.document("run", run_document(seen))
    return conclude(invocation, seen.run, fail_on_skip=fail_on_skip)


def lock_key(invocation: Invocation, deployment: Deployment, job: str) -> str | None:
    """The lock key of a job: from the jobs file, or else from the deployed state machine."""
    from nightlatch.operations.locks import lock_key_of  # noqa: PLC0415  only without a jobs file

    catalog = invocation.maybe_catalog
    if catalog is not None and job in catalog.jobs:
        return catalog.jobs[job].lock.key
    return lock_key_of(deployment, job)


def show_line(invocation: Invocation, line: LogLine) -> None:
    """One log line on stdout."""
    if invocation.out.machine:
        invocation.out.document("log_line", line)
    elif invocation.out.form is Format.NAME:
        invocation.out.line(line.message)
    else:
        text = line.message if invocation.settings.verbose else log_text(line.message)
        if text is not None:
            step = line.step if line.shard is None else f"{line.step}[{line.shard}]"
            invocation.out.line(f"{line.at.astimezone():%H:%M:%S} {step}/{line.attempt}  {text}")


def conclude(invocation: Invocation, run: Run, *, fail_on_skip: bool = False) -> ExitCode:
    """Tell how a run ended and give the exit status for it.

    Raises:
        OperationError: It did not end well (RUN-005 to RUN-008, LOCK-003).
    """
    took = span(run.seconds(invocation.now()))
    if run.outcome is Outcome.SUCCEEDED:
        invocation.talk.note(f"{run.run} succeeded after {took}")
        return ExitCode.OK
    if run.lock_held:
        raise OperationError(
            "LOCK-003",
            f"{run.job} was not started: its lock is held",
            facts=held_facts(invocation, run.held_by),
            tries=_held_tries(run),
        )
    if run.outcome in (Outcome.SKIPPED, Outcome.DUPLICATE):
        why = run.reason or (
            "another run holds the lock" if run.outcome is Outcome.SKIPPED else "already done"
        )
        if fail_on_skip:
            raise OperationError(
                "RUN-008",
                f"{run.run} was {'skipped' if run.outcome is Outcome.SKIPPED else 'a duplicate'}: {why}",
                facts=held_facts(invocation, run.held_by),
                tries=_held_tries(run),
            )
        word = "skipped" if run.outcome is Outcome.SKIPPED else "a duplicate"
        invocation.talk.note(f"{run.run} was {word}: {why}")
        for label, value in held_facts(invocation, run.held_by):
            invocation.talk.note(f"  {label.ljust(10)}{value}")
        if run.held_by is not None and run.held_by.run:
            invocation.talk.hint(f"nightlatch watch {run.held_by.run}")
        return ExitCode.OK
    code, word = {
        Outcome.TIMED_OUT: ("RUN-006", "exceeded its time limit"),
        Outcome.STOPPED: ("RUN-007", "was stopped"),
    }.get(run.outcome, ("RUN-005", "failed"))
    facts = [
        ("step", run.step or ""),
        ("class", run.failure_class or ""),
        ("exit code", "" if run.exit_code is None else str(run.exit_code)),
        ("why", run.reason or run.error or ""),
        ("after", took + (f", {run.attempt_count} attempts" if (run.attempt_count or 0) > 1 else "")),
    ]
    tries = [f"nightlatch logs {run.run}", f"nightlatch show {run.run}"]
    if run.step:
        tries.append(f"nightlatch redrive {run.run}")
    raise OperationError(code, f"{run.run} {word}", facts=[fact for fact in facts if fact[1]], tries=tries)


def held_facts(invocation: Invocation, held_by: HeldBy | None) -> list[tuple[str, str]]:
    """Who holds the lock, as facts of an error."""
    if held_by is None:
        return []
    since = ""
    if held_by.acquired_at is not None:
        age = span((invocation.now() - held_by.acquired_at).total_seconds())
        since = f" since {held_by.acquired_at.astimezone():%H:%M:%S} ({age})"
    facts = [("held by", f"{held_by.run or held_by.owner}{since}")]
    if held_by.token is not None:
        facts.append(("token", str(held_by.token)))
    if held_by.task_arn:
        facts.append(("task", held_by.task_arn.rpartition("/")[2]))
    return facts


def _held_tries(run: Run) -> list[str]:
    watch = [f"nightlatch watch {run.held_by.run}"] if run.held_by is not None and run.held_by.run else []
    return [*watch, f"nightlatch run {run.job} --on-conflict wait --wait-lock 2h"]
