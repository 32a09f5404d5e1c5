"""Terraform's reader of jobs.yaml and Python's say the same, for every environment."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from nightlatch.catalog import Job, declared_environments, job_settings, load_catalog
from nightlatch.installation import Installation
from tests.support.jobs_file import HEAD, ONE_JOB, write_jobs
from tests.support.terraform import ROOT, jobs_module

SHIPPED = ROOT / "jobs.yaml"
NASTY = Path(__file__).with_name("nasty_jobs.yaml")


def _evaluated(scratch: Path, file: Path, environment: str, expression: str) -> Any:
    console = jobs_module(scratch)
    text = console.run(
        *("console", f"-var=jobs_file={file}", f"-var=environment={environment}"),
        stdin=f"jsonencode({expression})\n",
    )
    # Where an output is refused, a warning stands above the answer.
    return json.loads(json.loads(text.strip().splitlines()[-1]))


def _as_terraform_has_it(job: Job, installation: Installation) -> dict[str, Any]:
    steps = []
    for step in job.steps:
        members: dict[str, Any] = {
            name: getattr(step, name)
            for name in ("name", "timeout_seconds", "cpu", "memory", "stop_grace_seconds")
        }
        steps.append(
            members
            | {
                "command": list(step.command),
                "environment": dict(step.environment),
                "family": installation.family(job.name, step.name),
                "retry": dict(step.retry),
                "retry_wait": asdict(step.retry_wait),
                "fan_out": asdict(step.fan_out) if step.fan_out else None,
            }
        )
    return {
        "name": job.name,
        "description": job.description,
        "image": job.image,
        "claim_container": job.claim_container,
        "schedule": asdict(job.schedule) if job.schedule else None,
        "lock": asdict(job.lock),
        "steps": steps,
        "run_timeout_seconds": job.run_timeout_seconds,
        "lease_seconds": job.lease_seconds,
    }


@pytest.mark.parametrize("environment", ["local", "dev", "stg", "prod"])
@pytest.mark.parametrize("file", [SHIPPED, NASTY], ids=["shipped", "nasty"])
def test_both_readers_say_the_same(tmp_path: Path, file: Path, environment: str) -> None:
    catalog = load_catalog(file, environment)
    installation = Installation.conventional(environment, "123456789012", "ap-northeast-1")

    jobs, settings, problems = _evaluated(
        tmp_path, file, environment, "[local.jobs, local.settings, local.problems]"
    )

    assert problems == []
    assert jobs == {name: _as_terraform_has_it(job, installation) for name, job in catalog.jobs.items()}
    assert settings == {name: job_settings(job, installation) for name, job in catalog.jobs.items()}


def test_the_nasty_file_declares_every_environment_that_is_compared() -> None:
    assert declared_environments(NASTY) == ("local", "dev", "stg", "prod")


STEP = "{ name: write, command: [report, --all], timeout_minutes: 10 }"
FAN_OUT = (
    "{ name: each, command: [x], timeout_minutes: 20, fan_out: { shards_from: write,"
    " shard_timeout_minutes: 5, max_concurrency: 10, tolerated_failure_percentage: 5 } }"
)
CLAIMED = f"    claim_container: true\n    steps:\n      - {STEP}\n      - {FAN_OUT}\n    #"
SCHEDULE = 'schedule: { cron: "cron(0 6 * * ? *)", alert_after_minutes: 5 }'

MISTAKES = [
    ("timeout_minutes: 10", "timeout_minuts: 10", "unknown key timeout_minuts"),
    ("timeout_minutes: 10", "timeout_minutes: 0", "timeout_minutes must be a number above 0"),
    ("timeout_minutes: 10", "timeout_minutes: '10'", "timeout_minutes must be a number above 0"),
    ("timeout_minutes: 10", "timeout_minutes: 12:30", "timeout_minutes must be a number above 0"),
    ("timeout_minutes: 10", "timeout_minutes: 0.01", "not a whole number of seconds"),
    ("timeout_minutes: 10", "timeout_minutes: 525600, retry: { exit: 20 }", "longer than a year"),
    ("timeout_minutes: 10", "timeout_minutes: 1, cpu: 512", "Fargate does not offer this cpu and memory"),
    ("timeout_minutes: 10", "timeout_minutes: 1, stop_grace_seconds: 121", "stop_grace_seconds must be"),
    ("timeout_minutes: 10", "timeout_minutes: 1, retry: { exit_256: 1 }", "unknown retry class"),
    ("timeout_minutes: 10", "timeout_minutes: 1, retry: { exit: 21 }", "a retry count must be"),
    ("timeout_minutes: 10", "timeout_minutes: 1, retry_wait: { max_seconds: 2 }", "first_seconds is longer"),
    ("timeout_minutes: 10", "timeout_minutes: 1, retry_wait: { jitter: 2 }", "unknown key jitter"),
    ("timeout_minutes: 10", "timeout_minutes: 1, environment: { NIGHTLATCH_X: a }", "NIGHTLATCH_"),
    ("[report, --all]", "['{% $x %}']", "Step Functions would evaluate"),
    ("[report, --all]", "[]", "no command"),
    (STEP, f"{STEP}\n      - {STEP}", "two steps have one name"),
    (STEP, f"{STEP}\n      - {FAN_OUT.replace('from: write', 'from: send')}", "shards_from must name"),
    (
        STEP,
        f"{STEP}\n      - {FAN_OUT.replace('shard_timeout_minutes: 5', 'shard_timeout_minutes: 21')}",
        "at most",
    ),
    (STEP, f"{STEP}\n      - {FAN_OUT.replace('y: 10', 'y: 0')}", "max_concurrency must be"),
    (STEP, f"{STEP}\n      - {FAN_OUT.replace('e: 5 ', 'e: 5.5 ')}", "tolerated_failure_percentage must be"),
    (STEP, f"{STEP}\n      - {FAN_OUT.replace('max_conc', 'mx_conc')}", "unknown key mx_concurrency"),
    ("    steps:", CLAIMED, "exclude each other"),
    ("name: write", "name: Write", "malformed step name"),
    ("lock: { key: reports }", "lock: { kye: reports }", "unknown key kye"),
    ("lock: { key: reports }", "lock: { key: reports, on_conflict: queue }", "on_conflict must be"),
    ("lock: { key: reports }", "lock: { key: reports, max_wait_minutes: 1381 }", "max_wait_minutes must be"),
    ("    lock:", '    schedule: { cron: "cron(0 6 * * ? *)" }\n    lock:', "needs alert_after_minutes"),
    ("    lock:", "    schedule: { alert_after_minutes: 5 }\n    lock:", "exactly one of cron, rate, at"),
    ("    lock:", f"    {SCHEDULE[:-2]}, max_lateness_minutes: 0 }}\n    lock:", "max_lateness_minutes"),
    ("    lock:", f"    {SCHEDULE[:-2]}, zone: UTC }}\n    lock:", "unknown key zone"),
    ("    lock:", "    environments: { prd: {} }\n    lock:", "unknown key prd"),
    ("    lock:", "    environments: { prod: { stpes: [] } }\n    lock:", "unknown key stpes"),
    ("    lock:", "    environments: { prod: { steps: [{ cup: 1 }] } }\n    lock:", "unknown key cup"),
    ("    lock:", "    scheduel: null\n    lock:", "unknown key scheduel"),
    ("  report:", "  janitor:", "reserved job name"),
    ("  report:", "  Report:", "malformed job name"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), MISTAKES, ids=[said for _, _, said in MISTAKES])
def test_terraform_refuses_what_would_make_a_bad_plan(
    tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    assert right in ONE_JOB
    file = write_jobs(tmp_path, ONE_JOB.replace(right, wrong, 1))

    problems = _evaluated(tmp_path, file, "dev", "local.problems")

    assert any(said in problem for problem in problems), problems


def test_all_problems_are_told_at_once_by_the_plan(tmp_path: Path) -> None:
    jobs = ONE_JOB.replace("[report, --all]", "[]").replace("lock: { key", "lock: { kye: x, key")
    file = write_jobs(tmp_path, jobs, HEAD)
    module = jobs_module(tmp_path)

    done = module.attempt(
        *("plan", "-input=false", f"-state={tmp_path}/state"),
        *(f"-var=jobs_file={file}", "-var=environment=nowhere"),
    )

    assert done.returncode == 1
    for text in ("unknown environment nowhere", "unknown key kye (report: lock)", "no command: report/write"):
        assert text in done.stderr
