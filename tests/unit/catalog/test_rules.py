from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nightlatch.catalog import CatalogError, load_catalog
from tests.support.jobs_file import HEAD, ONE_JOB, write_jobs

if TYPE_CHECKING:
    from pathlib import Path

STEP = "{ name: write, command: [report, --all], timeout_minutes: 10 }"


def _codes(path: Path) -> list[str]:
    try:
        load_catalog(path, "local")
    except CatalogError as error:
        return [it.code for it in error.problems]
    return []


def _with_step(folder: Path, step: str) -> Path:
    return write_jobs(folder, ONE_JOB.replace(STEP, step))


def _with_schedule(folder: Path, schedule: str) -> Path:
    return write_jobs(folder, ONE_JOB.replace("    lock:", f"    schedule: {schedule}\n    lock:"))


@pytest.mark.parametrize(
    ("cpu", "memory", "good"),
    [
        *((256, 512, True), (256, 1024, True), (256, 4096, False), (512, 512, False), (512, 1536, False)),
        *((1024, 8192, True), (1024, 9216, False), (4096, 30720, True), (8192, 16384, True)),
        *((8192, 17408, False), (16384, 122880, True), (16384, 36864, False)),
    ],
)
def test_fargate_sizes(tmp_path: Path, cpu: int, memory: int, *, good: bool) -> None:
    step = f"{{ name: a, command: [x], timeout_minutes: 1, cpu: {cpu}, memory: {memory} }}"

    assert _codes(_with_step(tmp_path, step)) == ([] if good else ["JOBS-030"])


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ('cron: "cron(0 6 * * ? *)"', True),
        ('cron: "cron(30 8 ? * MON-FRI *)"', True),
        ('cron: "cron(0 0 L * ? *)"', True),
        ('cron: "cron(0 0 ? * 6#3 2027-2030)"', True),
        ('cron: "cron(0 6 * * ?)"', False),
        ('cron: "cron(0 6 * * * *)"', False),
        ('cron: "cron(0 25 * * ? *)"', False),
        ('cron: "0 6 * * ? *"', False),
        ('rate: "rate(5 minutes)"', True),
        ('rate: "rate(1 hour)"', True),
        ('rate: "rate(1 hours)"', False),
        ('rate: "rate(5 minute)"', False),
        ('rate: "rate(0 minutes)"', False),
        ('at: "at(2027-01-31T06:00:00)"', True),
        ('at: "at(2027-02-30T06:00:00)"', False),
        ('at: "at(2027-01-31)"', False),
    ],
)
def test_schedule_expressions(tmp_path: Path, expression: str, *, good: bool) -> None:
    schedule = f"{{ {expression}, alert_after_minutes: 60 }}"

    assert _codes(_with_schedule(tmp_path, schedule)) == ([] if good else ["JOBS-020"])


def test_an_expression_stands_under_its_own_key(tmp_path: Path) -> None:
    assert _codes(_with_schedule(tmp_path, '{ cron: "rate(1 hour)", alert_after_minutes: 60 }')) == [
        "JOBS-020"
    ]


@pytest.mark.parametrize("zone", ["asia/tokyo", "JST", "Tokyo", "../etc/passwd", ""])
def test_a_time_zone_must_be_iana(tmp_path: Path, zone: str) -> None:
    schedule = f'{{ cron: "cron(0 6 * * ? *)", alert_after_minutes: 60, timezone: "{zone}" }}'

    assert _codes(_with_schedule(tmp_path, schedule)) == ["JOBS-021"]


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("{ name: a, command: [x], timeout_minutes: 0.05 }", []),
        ("{ name: a, command: [x], timeout_minutes: 0.35 }", []),
        ("{ name: a, command: [x], timeout_minutes: 0.01 }", ["JOBS-035"]),
        ("{ name: a, command: [x], timeout_minutes: 0 }", ["JOBS-013"]),
        ("{ name: a, command: [x], timeout_minutes: true }", ["JOBS-012"]),
        ("{ name: a, command: [x], timeout_minutes: 1, cpu: true }", ["JOBS-012"]),
        ("{ name: a, command: [x], timeout_minutes: 1, cpu: 300 }", ["JOBS-014"]),
        ("{ name: a, command: [x], timeout_minutes: 1, cpu: null }", ["JOBS-014"]),
        ("{ name: a, command: [''], timeout_minutes: 1 }", ["JOBS-013"]),
        ("{ name: a, command: x, timeout_minutes: 1 }", ["JOBS-012"]),
        ("{ name: a, command: [x], timeout_minutes: 1, stop_grace_seconds: 1 }", ["JOBS-013"]),
        ("{ name: a, command: [x], timeout_minutes: 1, stop_grace_seconds: 121 }", ["JOBS-013"]),
        ("{ name: a, command: [x], timeout_minutes: 1, retry: { exit_0: 1 } }", ["JOBS-010"]),
        ("{ name: a, command: [x], timeout_minutes: 1, retry: { exit_255: 1, exit: 20 } }", []),
        ("{ name: a, command: [x], timeout_minutes: 1, retry: { exit: 21 } }", ["JOBS-013"]),
        ("{ name: a, command: [x], timeout_minutes: 1, retry_wait: { max_seconds: 5 } }", ["JOBS-032"]),
        ("{ name: a, command: [x], timeout_minutes: 1, environment: { nightlatch_x: a } }", ["JOBS-034"]),
        ("{ name: a, command: [x], timeout_minutes: 1, environment: { 'A B': a } }", ["JOBS-015"]),
        ("{ name: a, command: ['{% $x %}'], timeout_minutes: 1 }", ["JOBS-033"]),
        ("{ name: a, command: ['${x}', '%{if}'], timeout_minutes: 1 }", []),
        ("{ name: a, command: [x], timeout_minutes: 525600, retry: { exit: 20 } }", ["JOBS-031"]),
    ],
)
def test_steps(tmp_path: Path, step: str, codes: list[str]) -> None:
    assert _codes(_with_step(tmp_path, step)) == codes


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("a", []),
        ("a" * 41, []),
        ("a" * 42, ["JOBS-015"]),
        ("-a", ["JOBS-015"]),
        ("a.b", ["JOBS-015"]),
        ("janitor", ["JOBS-016"]),
        ("watchdog", ["JOBS-016"]),
        ("nightly-watchdog", ["JOBS-016"]),
        ("janitor-sweep", ["JOBS-016"]),
    ],
)
def test_job_names(tmp_path: Path, name: str, codes: list[str]) -> None:
    assert _codes(write_jobs(tmp_path, ONE_JOB.replace("  report:", f"  {name}:", 1))) == codes


def test_a_whole_name_must_fit_aws(tmp_path: Path) -> None:
    job = ONE_JOB.replace("  report:", f"  {'a' * 41}:", 1)
    sixteen = HEAD.replace("[local, dev, stg, prod]", "[local, abcdefghijklmnop]")

    assert _codes(write_jobs(tmp_path, job, sixteen)) == []
    assert _codes(write_jobs(tmp_path, job, sixteen.replace("nop]", "nopq]"))) == ["JOBS-015"]


def test_two_steps_may_not_share_a_task_family(tmp_path: Path) -> None:
    first = ONE_JOB.replace("  report:", "  a:", 1).replace("name: write", "name: b-c")
    second = ONE_JOB.replace("  report:", "  a-b:", 1).replace("name: write", "name: c")

    assert _codes(write_jobs(tmp_path, first + second)) == ["JOBS-016"]


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (("[local, dev, stg, prod]", "[local, local]"), ["JOBS-016"]),
        (("[local, dev, stg, prod]", "[]"), ["JOBS-013"]),
        (("[local, dev, stg, prod]", "local"), ["JOBS-012"]),
        (("environments: [local, dev, stg, prod]\n", ""), ["JOBS-011"]),
        (("  image: nightlatch\n", ""), ["JOBS-011"]),
        (("  image: nightlatch\n", "  image: nightlatch\n  imgae: x\n"), ["JOBS-010"]),
        (("on_conflict: skip", "on_conflict: queue"), ["JOBS-014"]),
    ],
)
def test_the_head_of_the_file(tmp_path: Path, change: tuple[str, str], codes: list[str]) -> None:
    assert _codes(write_jobs(tmp_path, head=HEAD.replace(*change))) == codes


@pytest.mark.parametrize(
    "text", ["[]", "x", "jobs: []", "jobs: {a: null}", "jobs: {a: {steps: [1, null]}}", "defaults: 1"]
)
def test_a_file_of_the_wrong_shape_is_refused_and_breaks_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(text, encoding="utf-8")

    codes = _codes(path)

    assert codes
    assert set(codes) <= {"JOBS-011", "JOBS-012"}
