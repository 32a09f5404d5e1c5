"""The module's own tests, and that what it renders is what Python renders."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

import statemachine
from nightlatch.catalog import job_settings, load_catalog
from nightlatch.installation import Installation
from nightlatch.local.terraform import Terraform
from tests.support.terraform import ROOT, need_terraform

if TYPE_CHECKING:
    from pathlib import Path

    from nightlatch.catalog import Catalog
    from tests.support.planned import Documents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MODULE = ROOT / "terraform" / "modules" / "batch"
VALUES = {
    "partition": "aws",
    "region": "ap-northeast-1",
    "account": "123456789012",
    "prefix": "nightlatch-dev",
    "lock_table": "nightlatch-dev-locks",
    "runs_table": "nightlatch-dev-runs",
    "bucket": "nightlatch-dev-artifacts-123456789012",
    "cluster": "nightlatch-dev",
    "topic_arn": "arn:aws:sns:ap-northeast-1:123456789012:nightlatch-dev-notifications",
    "subnet_ids": "subnet-1,subnet-2",
    "security_group_ids": "sg-1",
    "assign_public_ip": "DISABLED",
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(MODULE / "tests" / "jobs.yaml", "dev")


@pytest.fixture(scope="module")
def installation(catalog: Catalog) -> Installation:
    return Installation.conventional("dev", "123456789012", "ap-northeast-1").with_jobs(catalog.jobs)


def test_the_configuration_is_formatted(tmp_path: Path) -> None:
    need_terraform()
    unformatted = Terraform(ROOT / "terraform", tmp_path).attempt("fmt", "-check", "-recursive", "-diff")

    assert unformatted.returncode == 0, unformatted.stdout


@pytest.mark.parametrize("module", ["modules/batch", "modules/network", "bootstrap"])
def test_the_modules_own_tests_pass(configuration: Path, module: str) -> None:
    done = Terraform(configuration / "terraform" / module, configuration).attempt("test")

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! \d+ passed, 0 failed", done.stdout)


def test_job_definitions_are_byte_for_byte_those_of_python(
    documents: Documents, catalog: Catalog, installation: Installation
) -> None:
    definitions = documents.definitions()

    assert set(definitions) == {*catalog.jobs, "janitor", "watchdog"}
    for name, job in catalog.jobs.items():
        assert definitions[name] == statemachine.render_job(job_settings(job, installation), VALUES)


def test_janitor_and_watchdog_are_byte_for_byte_those_of_python(documents: Documents) -> None:
    assert documents.definitions()["janitor"] == statemachine.render_janitor(VALUES)
    assert documents.definitions()["watchdog"] == statemachine.render_watchdog(VALUES)


def test_the_rendered_definitions_have_no_problems(documents: Documents) -> None:
    for name, text in documents.definitions().items():
        assert statemachine.check(text) == [], name


def test_the_parameter_is_what_the_command_reads(documents: Documents, installation: Installation) -> None:
    text = documents.attribute("aws_ssm_parameter.installation", "insecure_value")

    assert text == installation.to_json()
    assert Installation.from_json(text) == installation


# Each fault: a file, what is right, what is wrong, and what the run that guards against it says.
FAULTS = [
    ("schedules.tf", "u003c", "u003d", "bare form"),
    (
        "schedules.tf",
        "maximum_event_age_in_seconds = each.value.schedule.max_lateness_minutes * 60",
        "maximum_event_age_in_seconds = 86400",
        "given up after max_lateness_minutes",
    ),
    (
        "schedules.tf",
        "schedule_expression_timezone = each.value.schedule.timezone",
        'schedule_expression_timezone = "Asia/Seoul"',
        "The schedule has the file's expression and time zone",
    ),
    (
        "janitor.tf",
        "  dead_letter_config {\n    arn = local.queue_arn\n  }\n\n  depends_on = [aws_sfn",
        "  depends_on = [aws_sfn",
        "The janitor's rule has a dead-letter queue",
    ),
    (
        "monitoring.tf",
        "for_each = local.machine_arns",
        "for_each = { janitor = local.machine_arns.janitor }",
        "An alarm for each job",
    ),
    (
        "ecs.tf",
        "stopTimeout            = step.stop_grace_seconds",
        "stopTimeout            = 30",
        "the step's stop grace",
    ),
    (
        "../jobs/main.tf",
        "lease_margin_seconds = 300",
        "lease_margin_seconds = -100000",
        "every run into its lock's lease",
    ),
    (
        "tables.tf",
        "deletion_protection_enabled = var.deletion_protection",
        "deletion_protection_enabled = false",
        "Tables are protected",
    ),
    (
        "ecs.tf",
        '[{ containerName = "claim", condition = "SUCCESS" }]',
        '[{ containerName = "claim", condition = "START" }]',
        "starts behind a container of ours",
    ),
]


def test_the_modules_tests_notice_every_planted_fault(configuration: Path, tmp_path: Path) -> None:
    shutil.copytree(configuration, tmp_path / "copy", symlinks=True)
    module = tmp_path / "copy" / "terraform" / "modules" / "batch"
    for file, right, wrong, _ in FAULTS:
        text = (module / file).read_text(encoding="utf-8")
        assert right in text, f"{file} no longer has {right!r}"
        (module / file).write_text(text.replace(right, wrong), encoding="utf-8")

    done = Terraform(module, tmp_path).attempt("test", "-filter=tests/plan.tftest.hcl")

    # Terraform folds long lines behind a bar.
    said = re.sub(r"[\s│]+", " ", done.stdout + done.stderr)
    assert done.returncode == 1
    assert [message for *_, message in FAULTS if message not in said] == []
