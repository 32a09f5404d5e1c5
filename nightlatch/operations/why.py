"""Why a job ran, did not run, or is late: one firing of its schedule, explained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import list_runs, read_run
from nightlatch.operations.firings import SKIPPED, Firing, previous_firing
from nightlatch.operations.locks import STALE, LockStatus, read_lock
from nightlatch.operations.records import WATCHDOG, read_mark, records_of_time
from nightlatch.operations.runs import Outcome, Run
from nightlatch.operations.schedules import DISABLED, PAUSED, ScheduleStatus, read_schedule
from nightlatch.operations.text_of_time import iso

if TYPE_CHECKING:
    from datetime import datetime

    from nightlatch.operations.deployment import Deployment

# Scheduler delivers within a minute of the scheduled time, and retries a start that was refused.
_DELIVERY = timedelta(minutes=2)
_EARLY = timedelta(minutes=1)
_LOOKED_AT = 200
_READ_IN_FULL = 20


class Verdict(StrEnum):
    """What became of a firing."""

    SUCCEEDED = "it ran and succeeded"
    RUNNING = "it is running"
    WAITING = "it is waiting for its lock"
    FAILED = "it ran and failed"
    TIMED_OUT = "it ran and exceeded its time limit"
    STOPPED = "it was stopped"
    SKIPPED = "it was skipped: another run held its lock"
    DUPLICATE = "it had already run for that time"
    NO_SCHEDULE = "it has no schedule"
    NOT_DEPLOYED = "it is not deployed"
    NO_FIRING = "its schedule had no firing by then"
    CLOCK = "that wall-clock time did not exist: the clocks went forward"
    NEWER = "its schedule was made or changed after that time"
    PAUSED = "its schedule is paused"
    DISABLED = "its schedule is disabled"
    JUST_NOW = "the firing is less than two minutes old; the delivery may still come"
    DOWN = "the local AWS was not running then"
    NEVER_STARTED = "Scheduler fired, or should have, and no run was started"


_OF_OUTCOME = {
    Outcome.SUCCEEDED: Verdict.SUCCEEDED,
    Outcome.RUNNING: Verdict.RUNNING,
    Outcome.FAILED: Verdict.FAILED,
    Outcome.TIMED_OUT: Verdict.TIMED_OUT,
    Outcome.STOPPED: Verdict.STOPPED,
    Outcome.SKIPPED: Verdict.SKIPPED,
    Outcome.DUPLICATE: Verdict.DUPLICATE,
}
_GOOD = frozenset({Verdict.SUCCEEDED, Verdict.RUNNING, Verdict.DUPLICATE, Verdict.JUST_NOW})


@dataclass(frozen=True)
class Explanation:
    """What became of one firing of a job, and how that is known.

    Attributes:
        verdict: The answer.
        firing: The firing that was looked at.
        run: The run it led to.
        schedule: The schedule as deployed.
        lock: The job's lock now.
        evidence: What was looked at, and what it said.
        tries: What to do.
    """

    job: str
    verdict: Verdict
    firing: Firing | None = None
    run: Run | None = None
    schedule: ScheduleStatus | None = None
    lock: LockStatus | None = None
    evidence: tuple[str, ...] = ()
    tries: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether there is nothing to worry about."""
        return self.verdict in _GOOD


def explain(
    deployment: Deployment,
    job: str,
    *,
    lock_key: str | None,
    at: datetime | None = None,
    local_up_since: datetime | None = None,
) -> Explanation:
    """Explain the job's latest firing, or the one at or before a moment.

    Args:
        deployment: The environment.
        job: The job's name.
        lock_key: Its lock, when known.
        at: The moment; by default now.
        local_up_since: When the local AWS was started, in the environment `local`.
    """
    moment = at or deployment.now()
    try:
        list_runs(deployment, job, limit=1)
    except OperationError as error:
        if error.code != "JOB-002":
            raise
        return Explanation(job, Verdict.NOT_DEPLOYED, evidence=(error.message,), tries=error.tries)
    schedule = read_schedule(deployment, job)
    lock = read_lock(deployment, lock_key, check_holder=True) if lock_key else None
    known = Explanation(job, Verdict.NO_SCHEDULE, schedule=schedule, lock=lock)
    if schedule is None:
        tries: tuple[str, ...] = (f"nightlatch run {job}", f"nightlatch history {job}")
        return replace(
            known, evidence=("there is no schedule of that name in this environment",), tries=tries
        )
    firing = previous_firing(schedule.expression, schedule.timezone, moment, anchor=schedule.created_at)
    rule = f"{schedule.expression} in {schedule.timezone}"
    if firing is None:
        return replace(known, verdict=Verdict.NO_FIRING, evidence=(f"{rule} has not fired yet",))
    evidence = [f"{rule} fired last for {iso(firing.at)}"]
    run = _run_for(deployment, job, firing)
    if read_mark(deployment, job, f"{WATCHDOG}{iso(firing.at)}") is not None:
        evidence.append("the watchdog raised an alarm about it")
    if run is not None:
        verdict = _verdict_of(run, lock)
        evidence.append(f"{run.run} was started for it")
        tries = _tries_with(run, verdict)
    else:
        verdict, reason = _absence(deployment, schedule, firing, local_up_since)
        evidence.append(reason)
        tries = _tries_without(job, verdict)
    if lock is not None and lock.state == STALE:
        evidence.append(f"{lock.run} holds the lock {lock.key} but has ended; the next run takes it over")
    return replace(known, verdict=verdict, firing=firing, run=run, evidence=tuple(evidence), tries=tries)


def _run_for(deployment: Deployment, job: str, firing: Firing) -> Run | None:
    """The run of a firing; where a delivery was doubled, the one that did the work."""
    recorded = records_of_time(deployment, job, iso(firing.at))
    best = next((run for run in recorded if run.outcome is not Outcome.DUPLICATE), None)
    if best is not None:
        return best
    # Not recorded (yet): Step Functions lists executions without their input, so the likely ones are read.
    listed = list_runs(deployment, job, since=firing.at - _EARLY, limit=_LOOKED_AT)
    for entry in reversed(listed[-_READ_IN_FULL:]):
        run = read_run(deployment, job, entry.run)
        if run is not None and run.scheduled_time == firing.at and run.outcome is not Outcome.DUPLICATE:
            return run
    return recorded[0] if recorded else None


def _verdict_of(run: Run, lock: LockStatus | None) -> Verdict:
    if run.running and lock is not None and lock.held and lock.owner != run.execution_arn:
        return Verdict.WAITING
    return _OF_OUTCOME[run.outcome]


def _tries_with(run: Run, verdict: Verdict) -> tuple[str, ...]:
    if verdict in (Verdict.RUNNING, Verdict.WAITING):
        return (f"nightlatch watch {run.run}",)
    if verdict in (Verdict.FAILED, Verdict.TIMED_OUT, Verdict.STOPPED):
        # The containers of a fan-out are many; its failed shards come first.
        only = f" --step {run.step}" if run.failure_class == "shards" else ""
        return (
            f"nightlatch show {run.run}",
            f"nightlatch logs {run.run}{only}",
            f"nightlatch redrive {run.run}",
        )
    if verdict is Verdict.SKIPPED and run.held_by is not None and run.held_by.run:
        return (f"nightlatch show {run.held_by.run}", f"nightlatch run {run.job}")
    return (f"nightlatch show {run.run}",)


def _absence(
    deployment: Deployment, schedule: ScheduleStatus, firing: Firing, local_up_since: datetime | None
) -> tuple[Verdict, str]:
    """Why a firing led to no run; the first reason that holds, the surest first."""
    paused = schedule.state == PAUSED and schedule.paused_at is not None and schedule.paused_at <= firing.at
    changed, up = schedule.changed_at, local_up_since
    reasons = (
        (
            firing.note == SKIPPED,
            Verdict.CLOCK,
            f"{firing.local} did not exist in {schedule.timezone}",
        ),
        (paused, Verdict.PAUSED, f"paused by {schedule.paused_by}: {schedule.paused_reason}"),
        (schedule.state == DISABLED, Verdict.DISABLED, "the schedule is DISABLED, and nobody gave a reason"),
        (
            changed is not None and changed > firing.at,
            Verdict.NEWER,
            f"it was changed at {iso(changed) if changed else '-'}",
        ),
        (
            up is not None and up > firing.at,
            Verdict.DOWN,
            f"the local AWS was started at {iso(up) if up else '-'}",
        ),
        (deployment.now() - firing.at < _DELIVERY, Verdict.JUST_NOW, "no run yet"),
    )
    for holds, verdict, evidence in reasons:
        if holds:
            return verdict, evidence
    return (
        Verdict.NEVER_STARTED,
        "no run was started for it: look at the schedule's role, its dead-letter queue, and throttling",
    )


def _tries_without(job: str, verdict: Verdict) -> tuple[str, ...]:
    if verdict is Verdict.PAUSED:
        return (f"nightlatch schedule resume {job}", f"nightlatch run {job}")
    if verdict in (Verdict.NEVER_STARTED, Verdict.DISABLED):
        return ("nightlatch doctor", f"nightlatch run {job}")
    return (f"nightlatch schedule next {job}", f"nightlatch run {job}")
