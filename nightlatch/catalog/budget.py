"""How long a run may take, and how long its lock is leased: derived from the steps, never configured.

All in whole seconds, integer arithmetic only; ``terraform/modules/jobs`` repeats it and a test holds both
together. For each step::

    worked   = 1 + sum of retries of infrastructure, spot, out_of_memory, timeout, exit, exit_N
    launched = sum of retries of launch, start
    overhead = PROVISIONING_SECONDS + stop_grace_seconds + DRAIN_MARGIN_SECONDS
    step     = worked * (timeout_seconds + overhead)
             + launched * overhead
             + (worked - 1 + launched) * retry_wait.max_seconds

for a step that fans out, whose shards and their retries share the step's time::

    step     = timeout_seconds + overhead

and for the run::

    run_timeout_seconds = ACQUIRE_SECONDS + max_wait_minutes * 60 + sum of steps + FINISH_SECONDS
    lease_seconds       = run_timeout_seconds + largest stop_grace_seconds + LEASE_MARGIN_SECONDS

The run's time limit is therefore always below the lease: Step Functions ends a run, and its container has had
its whole stop grace, before the lease would let anyone judge by the clock. The wait for the lock counts
whatever the job's conflict policy, because an operator may choose ``wait`` for one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROVISIONING_SECONDS = 300
"""From RunTask to a running container: network interface, image pull, secrets. Fargate usually needs one
minute; a large image from another region needs several."""

DRAIN_MARGIN_SECONDS = 60
"""From the end of the stop grace until DescribeTasks says STOPPED, polls included."""

ACQUIRE_SECONDS = 900
"""Before the first step: asking about the holder, stopping it where the policy says so, draining what it left
(up to 120 seconds of stop grace each for the holder's tasks), retries of throttled calls included."""

FINISH_SECONDS = 300
"""After the last step: release, record and notify, retries of throttled calls included."""

LEASE_MARGIN_SECONDS = 300
"""The allowance for clock differences (5 seconds), the last drain, and the delay before Step Functions acts
on its own time limit."""

LONGEST_RUN_SECONDS = 31_536_000
"""A Step Functions execution ends after a year (hard quota)."""

# An attempt that failed in one of these ways never ran the job's own code, so it cost no working time.
NEVER_WORKED = frozenset({"launch", "start"})


def step_seconds(
    timeout_seconds: int, stop_grace_seconds: int, retry: Mapping[str, int], max_wait_between: int
) -> int:
    """The longest that a step can take with every retry used up."""
    launched = sum(count for kind, count in retry.items() if kind in NEVER_WORKED)
    worked = 1 + sum(count for kind, count in retry.items() if kind not in NEVER_WORKED)
    overhead = PROVISIONING_SECONDS + stop_grace_seconds + DRAIN_MARGIN_SECONDS
    waits = (worked - 1 + launched) * max_wait_between
    return worked * (timeout_seconds + overhead) + launched * overhead + waits


def fan_out_seconds(timeout_seconds: int, stop_grace_seconds: int) -> int:
    """The longest that a fan-out can take, however many shards it has.

    No shard starts when the step's time is over, none runs on past it, and a fan-out as a whole is not
    repeated.
    """
    return timeout_seconds + PROVISIONING_SECONDS + stop_grace_seconds + DRAIN_MARGIN_SECONDS


def run_timeout_seconds(max_wait_minutes: int, steps: Iterable[int]) -> int:
    """The time limit of a run, its machine's ``TimeoutSeconds``. ``steps``: see :func:`step_seconds`."""
    return ACQUIRE_SECONDS + max_wait_minutes * 60 + sum(steps) + FINISH_SECONDS


def lease_seconds(run_timeout: int, stop_graces: Iterable[int]) -> int:
    """How long the lock is leased from the moment it is acquired; more than any run can take."""
    return run_timeout + max(stop_graces) + LEASE_MARGIN_SECONDS
