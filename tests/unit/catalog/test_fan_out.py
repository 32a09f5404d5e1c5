"""Steps that run once for each shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nightlatch.catalog import CatalogError, job_settings, load_catalog
from nightlatch.installation import Installation
from tests.support.jobs_file import ONE_JOB, write_jobs

if TYPE_CHECKING:
    from pathlib import Path

    from nightlatch.catalog import Job

PLAN = "{ name: plan, command: [x], timeout_minutes: 1 }"
FAN_OUT = (
    "fan_out: { shards_from: plan, shard_timeout_minutes: 30, max_concurrency: 10,"
    " tolerated_failure_percentage: 5 }"
)
WORK = f"{{ name: work, command: [x], timeout_minutes: 240, {FAN_OUT} }}"
COLLECT = "{ name: collect, command: [x], timeout_minutes: 1 }"


def _text(*steps: str) -> str:
    head, _, _ = ONE_JOB.partition("    steps:\n")
    return head + "    steps:\n" + "".join(f"      - {step}\n" for step in steps)


def _job(folder: Path, *steps: str) -> Job:
    return load_catalog(write_jobs(folder, _text(*steps)), "dev").jobs["report"]


def _codes(folder: Path, text: str) -> list[str]:
    try:
        load_catalog(write_jobs(folder, text), "dev")
    except CatalogError as error:
        return [problem.code for problem in error.problems]
    return []


def test_the_machine_is_told_how_to_fan_out(tmp_path: Path) -> None:
    installation = Installation.conventional("dev", "123456789012", "ap-northeast-1")
    plan, work, collect = job_settings(_job(tmp_path, PLAN, WORK, COLLECT), installation)["steps"]
    assert work["timeout_seconds"] == 240 * 60
    assert work["fan_out"] == {
        "shards_from": "plan",
        "shard_timeout_seconds": 1800,
        "max_concurrency": 10,
        "tolerated_failure_percentage": 5,
    }
    assert "fan_out" not in plan
    assert "fan_out" not in collect


def test_a_fan_out_counts_once_whatever_its_shards_may_repeat(tmp_path: Path) -> None:
    job = _job(tmp_path, PLAN, WORK, COLLECT)
    plan, work, collect = job.steps
    assert work.budget_seconds == 240 * 60 + 300 + work.stop_grace_seconds + 60
    total = plan.budget_seconds + work.budget_seconds + collect.budget_seconds
    assert job.run_timeout_seconds == 900 + 3600 + total + 300
    retried = WORK.removesuffix(" }") + ", retry: { exit: 20 } }"
    assert _job(tmp_path, PLAN, retried, COLLECT).run_timeout_seconds == job.run_timeout_seconds


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ((PLAN, WORK), []),
        ((WORK,), ["JOBS-036"]),
        ((WORK, PLAN), ["JOBS-036"]),
        ((COLLECT, WORK), ["JOBS-036"]),
        ((PLAN, WORK, WORK.replace("name: work", "name: more")), []),
        (
            (PLAN, WORK, WORK.replace("name: work", "name: more").replace("from: plan", "from: work")),
            ["JOBS-036"],
        ),
        ((PLAN, WORK.replace("shard_timeout_minutes: 30", "shard_timeout_minutes: 241")), ["JOBS-037"]),
        ((PLAN, WORK.replace("shard_timeout_minutes: 30", "shard_timeout_minutes: 0")), ["JOBS-013"]),
        ((PLAN, WORK.replace("max_concurrency: 10", "max_concurrency: 0")), ["JOBS-013"]),
        ((PLAN, WORK.replace("max_concurrency: 10, ", "")), ["JOBS-011"]),
        ((PLAN, WORK.replace("percentage: 5", "percentage: 101")), ["JOBS-013"]),
        ((PLAN, WORK.replace("percentage: 5", "percentage: 0.5")), ["JOBS-012"]),
        ((PLAN, WORK.replace("max_concurrency", "max_concurency")), ["JOBS-010", "JOBS-011"]),
        ((PLAN, WORK.replace(FAN_OUT, "fan_out: null")), ["JOBS-012"]),
    ],
)
def test_mistakes_in_a_fan_out(tmp_path: Path, steps: tuple[str, ...], codes: list[str]) -> None:
    assert sorted(_codes(tmp_path, _text(*steps))) == codes


def test_a_foreign_image_cannot_fan_out(tmp_path: Path) -> None:
    text = _text(PLAN, WORK).replace("    steps:", "    claim_container: true\n    steps:")
    assert _codes(tmp_path, text) == ["JOBS-036"]
