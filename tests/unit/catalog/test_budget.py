from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nightlatch.catalog import declared_environments, job_settings, load_catalog
from nightlatch.installation import Installation
from tests.support.jobs_file import ONE_JOB, write_jobs

if TYPE_CHECKING:
    from nightlatch.catalog import Job

SHIPPED = Path(__file__).parents[3] / "jobs.yaml"


def _job(folder: Path, text: str = ONE_JOB) -> Job:
    return load_catalog(write_jobs(folder, text), "dev").jobs["report"]


def test_the_budget_is_the_sum_of_everything_that_may_happen(tmp_path: Path) -> None:
    job = _job(tmp_path)

    # launch 5 and start 1 never work; the first attempt, infrastructure 1 and spot 1 do.
    overhead = 300 + 30 + 60
    step = 3 * (600 + overhead) + 6 * overhead + 8 * 300
    assert job.steps[0].budget_seconds == step
    assert job.run_timeout_seconds == 900 + 3600 + step + 300
    assert job.lease_seconds == job.run_timeout_seconds + 30 + 300


def test_each_retry_and_each_step_makes_the_run_longer(tmp_path: Path) -> None:
    base = _job(tmp_path).run_timeout_seconds
    step = "{ name: write, command: [report, --all], timeout_minutes: 10 }"
    retried = ONE_JOB.replace(step, step.replace(" }", ", retry: { exit_75: 1 } }"))
    launched = ONE_JOB.replace(step, step.replace(" }", ", retry: { launch: 6 } }"))
    second = ONE_JOB + f"      - {step.replace('write', 'send')}\n"

    assert _job(tmp_path, retried).run_timeout_seconds - base == 600 + 390 + 300
    assert _job(tmp_path, launched).run_timeout_seconds - base == 390 + 300
    assert _job(tmp_path, second).run_timeout_seconds - base == _job(tmp_path).steps[0].budget_seconds


def test_the_settings_of_the_machine(tmp_path: Path) -> None:
    installation = Installation.conventional("dev", "123456789012", "ap-northeast-1")
    job = _job(tmp_path)

    assert job_settings(job, installation) == {
        "job": "report",
        "lock_key": "reports",
        "on_conflict": "skip",
        "max_wait_seconds": 3600,
        "max_waiters": 1,
        "lease_seconds": job.lease_seconds,
        "run_timeout_seconds": job.run_timeout_seconds,
        "steps": [
            {
                "name": "write",
                "family": "nightlatch-dev-report-write",
                "timeout_seconds": 600,
                "stop_grace_seconds": 30,
                "retry": {
                    "launch": 5,
                    "infrastructure": 1,
                    "spot": 1,
                    "start": 1,
                    "out_of_memory": 0,
                    "timeout": 0,
                    "exit": 0,
                },
                "retry_wait": {"first_seconds": 15, "rate": 2, "max_seconds": 300},
            }
        ],
    }


@pytest.mark.parametrize("environment", ["local", "dev", "stg", "prod"])
def test_the_shipped_jobs_are_right_in_every_environment(environment: str) -> None:
    jobs = load_catalog(SHIPPED, environment).jobs

    assert environment in declared_environments(SHIPPED)
    assert [step.name for step in jobs["nightly-articles"].steps] == ["generate", "check"]
    for job in jobs.values():
        assert job.run_timeout_seconds < job.lease_seconds
        # A run must be over before the next night's begins.
        assert job.lease_seconds < 24 * 3600


def test_the_news_sites_jobs_run_at_their_hours_and_the_sitemap_once_a_night() -> None:
    jobs = load_catalog(SHIPPED, "prod").jobs
    schedules = {name: job.schedule for name, job in jobs.items() if job.schedule}

    assert {name: (it.expression, it.timezone) for name, it in schedules.items()} == {
        "sitemap": ("cron(0 6 * * ? *)", "Asia/Tokyo"),
        "xml-articles": ("cron(0 7 * * ? *)", "Asia/Tokyo"),
        "missing-images": ("cron(0 8 * * ? *)", "Asia/Tokyo"),
    }
    # `make night` fires the whole night by its schedule; its own jobs of the same work stand still there.
    assert [name for name, job in load_catalog(SHIPPED, "local").jobs.items() if job.schedule] == [
        "nightly-articles"
    ]


def test_two_jobs_that_write_one_sitemap_share_a_lock() -> None:
    jobs = load_catalog(SHIPPED, "prod").jobs
    writers = [job for job in jobs.values() if any("sitemap-refresh" in step.command for step in job.steps)]

    assert [job.name for job in writers] == ["sitemap", "nightly-articles"]
    assert len({job.lock.key for job in writers}) == 1
