"""The three definitions, rendered for an installation that exists nowhere."""

from typing import Any

from statemachine.render import render_janitor, render_job, render_watchdog

ACCOUNT = "000000000000"
REGION = "ap-northeast-1"
PREFIX = "nightlatch-test"

VALUES = {
    "partition": "aws",
    "region": REGION,
    "account": ACCOUNT,
    "lock_table": f"{PREFIX}-locks",
    "runs_table": f"{PREFIX}-runs",
    "cluster": PREFIX,
    "topic_arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{PREFIX}-notifications",
    "bucket": f"{PREFIX}-artifacts-{ACCOUNT}",
    "subnet_ids": "subnet-1,subnet-2",
    "security_group_ids": "sg-1",
    "assign_public_ip": "DISABLED",
    "prefix": PREFIX,
}


def step(name: str = "generate", job: str = "nightly", **changes: Any) -> dict[str, Any]:
    """One step's settings."""
    return {
        "name": name,
        "family": f"{PREFIX}-{job}-{name}",
        "timeout_seconds": 600,
        "stop_grace_seconds": 30,
        "retry": {"launch": 5, "infrastructure": 5, "spot": 5, "start": 1, "exit_75": 3},
        "retry_wait": {"first_seconds": 15, "rate": 2, "max_seconds": 300},
        **changes,
    }


def settings(
    job: str = "nightly", steps: list[dict[str, Any]] | None = None, **changes: Any
) -> dict[str, Any]:
    """One job's settings."""
    return {
        "job": job,
        "lock_key": "articles",
        "on_conflict": "skip",
        "max_wait_seconds": 3600,
        "max_waiters": 3,
        "lease_seconds": 10000,
        "run_timeout_seconds": 9000,
        "steps": steps or [step(job=job)],
        **changes,
    }


def definition(name: str, **changes: Any) -> str:
    """The rendered text of `job`, `janitor` or `watchdog`."""
    if name == "job":
        return render_job(settings(**changes), VALUES)
    return {"janitor": render_janitor, "watchdog": render_watchdog}[name](VALUES)
