from __future__ import annotations

import json

import boto3
import pytest

from nightlatch.installation import Installation, InstallationError
from tests.support.own_account import mocked_aws


def _installation() -> Installation:
    return Installation.conventional("dev", "123456789012", "ap-northeast-1").with_jobs(["b-job", "a-job"])


def test_every_name_follows_from_the_environment() -> None:
    it = _installation()

    assert it.prefix == "nightlatch-dev"
    assert it.lock_table == "nightlatch-dev-locks"
    assert it.bucket == "nightlatch-dev-artifacts-123456789012"
    assert it.log_group == "/nightlatch-dev/tasks"
    assert (
        it.machine_arn("a-job")
        == "arn:aws:states:ap-northeast-1:123456789012:stateMachine:nightlatch-dev-a-job"
    )
    assert (
        it.execution_arn("a-job", "r1")
        == "arn:aws:states:ap-northeast-1:123456789012:execution:nightlatch-dev-a-job:r1"
    )
    assert it.family("a-job", "load") == "nightlatch-dev-a-job-load"
    assert it.machine_arn("not-listed").endswith(":nightlatch-dev-not-listed")


def test_partition_reaches_every_arn() -> None:
    it = Installation.conventional("dev", "123456789012", "cn-north-1", "aws-cn").with_jobs(["a"])

    arns = [it.topic_arn, it.janitor_arn, it.watchdog_arn, it.machine_arn("a"), it.execution_arn("a", "r")]
    assert all(arn.startswith("arn:aws-cn:") for arn in arns)
    assert Installation.from_json(it.to_json()) == it


def test_json_comes_back_the_same_and_has_sorted_keys() -> None:
    text = _installation().to_json()

    assert Installation.from_json(text) == _installation()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text)["schema_version"] == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", "INSTALL-003"),
        ("[]", "INSTALL-003"),
        ('{"schema_version": 2}', "INSTALL-002"),
        ('{"schema_version": 1, "jobs": {}}', "INSTALL-003"),
    ],
)
def test_a_parameter_that_cannot_be_understood_is_refused(text: str, code: str) -> None:
    with pytest.raises(InstallationError) as caught:
        Installation.from_json(text)

    assert caught.value.code == code
    assert caught.value.hint


def test_load_reads_the_parameter_and_says_when_there_is_none() -> None:
    with mocked_aws():
        session = boto3.Session("made-up", "made-up", region_name="ap-northeast-1")
        it = _installation()
        session.client("ssm").put_parameter(Name=it.parameter_name(), Value=it.to_json(), Type="String")

        assert Installation.load(session, "dev") == it
        with pytest.raises(InstallationError, match="environment 'prod' is not installed here") as caught:
            Installation.load(session, "prod")
    assert caught.value.code == "INSTALL-001"
