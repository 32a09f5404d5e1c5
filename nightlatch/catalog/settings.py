"""What a job's state machine is told about the job: the literal inside its definition."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightlatch.catalog.model import Job, Step
    from nightlatch.installation import Installation


def job_settings(job: Job, installation: Installation) -> dict[str, Any]:
    """The settings of a job's state machine, as plain JSON values.

    Command, image, cpu, memory and environment are not here: they are in the step's task definition, because
    the overrides of RunTask may have 8192 characters only. Terraform makes the same value
    (``terraform/modules/jobs``, output ``settings``).
    """
    return {
        "job": job.name,
        "lock_key": job.lock.key,
        "on_conflict": job.lock.on_conflict,
        "max_wait_seconds": job.lock.max_wait_seconds,
        "max_waiters": job.lock.max_waiters,
        "lease_seconds": job.lease_seconds,
        "run_timeout_seconds": job.run_timeout_seconds,
        "steps": [_step_settings(step, installation.family(job.name, step.name)) for step in job.steps],
    }


def _step_settings(step: Step, family: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "name": step.name,
        "family": family,
        "timeout_seconds": step.timeout_seconds,
        "stop_grace_seconds": step.stop_grace_seconds,
        "retry": dict(step.retry),
        "retry_wait": {
            "first_seconds": step.retry_wait.first_seconds,
            "rate": step.retry_wait.rate,
            "max_seconds": step.retry_wait.max_seconds,
        },
    }
    if step.fan_out is not None:
        settings["fan_out"] = asdict(step.fan_out)
    return settings
