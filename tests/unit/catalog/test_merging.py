from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nightlatch.catalog import CatalogError, Schedule, load_catalog
from tests.support.jobs_file import HEAD, write_jobs

if TYPE_CHECKING:
    from pathlib import Path

JOB = """\
  report:
    description: Write the report
    schedule: { cron: "cron(0 6 * * ? *)", alert_after_minutes: 90 }
    lock: { key: reports, max_waiters: 3 }
    steps:
      - name: write
        command: [report]
        timeout_minutes: 10
        environment: { LEVEL: info }
        retry: { exit_75: 2, infrastructure: 4 }
        retry_wait: { max_seconds: 60 }
      - { name: send, command: [send], timeout_minutes: 0.35 }
    environments:
      dev:
        schedule: null
      stg:
        image: registry.example/news@sha256:0123
        schedule: { timezone: UTC, max_lateness_minutes: 5 }
        lock: { on_conflict: wait }
      prod:
        steps:
          - { name: only, command: [report, --fast], timeout_minutes: 5, cpu: 512, memory: 1024 }
"""


def test_a_job_is_completed_from_the_defaults(tmp_path: Path) -> None:
    job = load_catalog(write_jobs(tmp_path, JOB), "local").jobs["report"]

    assert job.image == "nightlatch"
    assert job.schedule == Schedule("cron(0 6 * * ? *)", "Asia/Tokyo", 90, 60)
    assert (job.lock.key, job.lock.on_conflict, job.lock.max_wait_seconds) == ("reports", "skip", 3600)
    assert job.lock.max_waiters == 3
    write, send = job.steps
    assert (write.cpu, write.memory, write.stop_grace_seconds) == (256, 512, 30)
    assert write.environment == {"LANG": "C.UTF-8", "LEVEL": "info"}
    assert write.retry["infrastructure"] == 4
    assert write.retry["exit_75"] == 2
    assert write.retry["launch"] == 5
    assert (write.retry_wait.first_seconds, write.retry_wait.max_seconds) == (15, 60)
    assert "exit_75" not in send.retry
    assert send.timeout_seconds == 21


def test_null_switches_a_schedule_off_in_one_environment(tmp_path: Path) -> None:
    path = write_jobs(tmp_path, JOB)

    assert load_catalog(path, "dev").jobs["report"].schedule is None
    assert load_catalog(path, "prod").jobs["report"].schedule is not None


def test_an_environment_changes_mappings_key_by_key(tmp_path: Path) -> None:
    job = load_catalog(write_jobs(tmp_path, JOB), "stg").jobs["report"]

    assert job.image == "registry.example/news@sha256:0123"
    assert job.schedule == Schedule("cron(0 6 * * ? *)", "UTC", 90, 5)
    assert (job.lock.key, job.lock.on_conflict, job.lock.max_waiters) == ("reports", "wait", 3)


def test_an_environment_replaces_lists_as_a_whole_and_completes_them(tmp_path: Path) -> None:
    (step,) = load_catalog(write_jobs(tmp_path, JOB), "prod").jobs["report"].steps

    assert step.command == ("report", "--fast")
    assert step.environment == {"LANG": "C.UTF-8"}


def test_a_mistake_in_another_environment_is_found_and_told_where_it_stands(tmp_path: Path) -> None:
    jobs = JOB.replace("cpu: 512, memory: 1024", "cpu: 512, memory: 512")

    with pytest.raises(CatalogError) as caught:
        load_catalog(write_jobs(tmp_path, jobs), "local")

    (problem,) = caught.value.problems
    line = (HEAD + jobs).splitlines()[problem.line - 1]
    assert problem.code == "JOBS-030"
    assert line[problem.column - 1 :].startswith("512 }")
    assert "name: only" in line


def test_a_mistake_in_the_defaults_is_told_once_at_the_defaults(tmp_path: Path) -> None:
    path = write_jobs(tmp_path, JOB, HEAD.replace("memory: 512", "memory: 4096"))

    with pytest.raises(CatalogError) as caught:
        load_catalog(path, "local")

    assert [(it.line, it.code) for it in caught.value.problems] == [(7, "JOBS-030")]


def test_an_expression_of_another_kind_needs_the_first_taken_away(tmp_path: Path) -> None:
    both = JOB.replace("schedule: { timezone: UTC,", 'schedule: { rate: "rate(1 day)",')
    one = JOB.replace("schedule: { timezone: UTC,", 'schedule: { cron: null, rate: "rate(1 day)",')

    with pytest.raises(CatalogError) as caught:
        load_catalog(write_jobs(tmp_path, both), "local")
    assert [it.code for it in caught.value.problems] == ["JOBS-023"]
    schedule = load_catalog(write_jobs(tmp_path, one), "stg").jobs["report"].schedule
    assert schedule is not None
    assert schedule.expression == "rate(1 day)"


def test_an_unknown_environment_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="did you mean 'prod'") as caught:
        load_catalog(write_jobs(tmp_path), "prdo")

    assert [it.code for it in caught.value.problems] == ["JOBS-040"]


def test_two_jobs_may_share_a_lock(tmp_path: Path) -> None:
    second = JOB.replace("  report:", "  report-again:")

    jobs = load_catalog(write_jobs(tmp_path, JOB + second), "local").jobs

    assert [job.lock.key for job in jobs.values()] == ["reports", "reports"]
