from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as aws

from lock.errors import ItemError, StoreRefusedError, TableMissingError
from nightlatch.cli.app import run
from nightlatch.cli.foreign_errors import as_operation_error
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.settings import Settings
from nightlatch.installation import InstallationError
from nightlatch.operations.aws_errors import translate, translate_lock
from nightlatch.operations.codes import CODES, EXIT_MEANINGS, ExitCode, every_code
from nightlatch.operations.errors import OperationError
from tests.support.jobs_file import write_jobs


def refused(code: str) -> aws.ClientError:
    response: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"RequestId": "r-1"}}
    return aws.ClientError(response, "StartExecution")


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (aws.NoCredentialsError(), "AWS-001", ExitCode.CREDENTIALS),
        (aws.ProfileNotFound(profile="x"), "AWS-001", ExitCode.CREDENTIALS),
        (aws.UnauthorizedSSOTokenError(), "AWS-002", ExitCode.CREDENTIALS),
        (refused("ExpiredTokenException"), "AWS-002", ExitCode.CREDENTIALS),
        (refused("AccessDeniedException"), "AWS-003", ExitCode.CREDENTIALS),
        (refused("InternalServerError"), "AWS-005", ExitCode.FAILED),
        (aws.EndpointConnectionError(endpoint_url="http://x"), "AWS-004", ExitCode.FAILED),
        (aws.NoRegionError(), "AWS-006", ExitCode.USAGE),
    ],
)
def test_what_aws_says_has_a_code_and_a_status(error: Any, code: str, exit_code: ExitCode) -> None:
    told = translate(error)

    assert (told.code, told.exit_code) == (code, exit_code)


def test_a_refusal_keeps_the_call_and_the_request_id() -> None:
    told = translate(refused("AccessDeniedException"))

    assert ("call", "StartExecution") in told.facts
    assert told.request_id == "r-1"


def test_an_unreachable_local_aws_says_how_to_start_it() -> None:
    error = aws.EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    told = as_operation_error(error, Invocation(Settings(), {}))

    assert told.code == "LOCAL-001"
    assert "nightlatch local up --detach" in told.tries


def test_a_missing_installation_keeps_its_hint() -> None:
    error = InstallationError("INSTALL-001", "not installed", "check --env")

    told = as_operation_error(error, Invocation(Settings(), {}))

    assert (told.code, told.tries, told.exit_code) == ("INSTALL-001", ("check --env",), ExitCode.NOT_FOUND)


def test_the_locks_own_errors_are_told_like_all_others() -> None:
    missing = translate_lock(TableMissingError("t"))
    denied = StoreRefusedError("GetItem", "AccessDeniedException", "no")
    denied.__cause__ = refused("AccessDeniedException")
    unknown = translate_lock(ItemError("reports", "it has no fence"))

    assert (missing.code, missing.exit_code) == ("LOCK-006", ExitCode.NOT_FOUND)
    assert translate_lock(denied).code == "AWS-003"
    assert unknown.code == "LOCK-007"


def test_every_code_has_a_text_and_every_status_a_meaning() -> None:
    assert set(EXIT_MEANINGS) == set(ExitCode)
    for code, entry in every_code().items():
        assert entry.code == code
        assert entry.title
        assert len(entry.text) > 20


def test_every_code_that_is_raised_is_known() -> None:
    root = Path(__file__).resolve().parents[3] / "nightlatch"
    raised = {
        line.strip().strip('",')
        for path in [*root.glob("operations/**/*.py"), *root.glob("cli/**/*.py")]
        for line in path.read_text()
        .replace("OperationError(", "OperationError(\n")
        .replace(", ", ",\n")
        .splitlines()
        if line.strip().startswith('"')
        and line.strip().strip('",').replace("-", "").isalnum()
        and line.strip().strip('",')[-4:-3] == "-"
        and line.strip().strip('",')[-3:].isdigit()
    }

    assert raised <= set(every_code())
    assert set(CODES) - raised <= {"FILE-002", "DOC-001", "INSTALL-001", "INSTALL-002", "INSTALL-003"}


def test_a_bug_is_told_without_a_stack_trace_unless_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTLATCH_STATE", str(tmp_path / "none"))
    path = str(write_jobs(tmp_path))

    assert run(["jobs", "--file", path]) == ExitCode.NOT_FOUND
    plain = capsys.readouterr().err
    assert run(["jobs", "--file", path, "--debug"]) == ExitCode.NOT_FOUND
    debug = capsys.readouterr().err

    assert plain.startswith("error[LOCAL-001]")
    assert "Traceback" not in plain
    assert "Traceback" in debug


def test_validate_shows_every_mistake_at_once_and_ends_with_6(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = """\
  a:
    lock: { kye: a }
    steps:
      - { name: s, command: [x], timeout_minuts: 1 }
  B:
    lock: { key: b, on_conflict: perhaps }
    steps: []
"""
    path = str(write_jobs(tmp_path, jobs))

    assert run(["validate", "--file", path]) == ExitCode.INVALID
    told = capsys.readouterr()
    assert run(["validate", "--file", path, "-o", "json"]) == ExitCode.INVALID
    document = json.loads(capsys.readouterr().out)

    assert told.out == ""
    for word in ("kye", "timeout_minuts", "perhaps", "'key'", "'timeout_minutes'"):
        assert word in told.err
    assert f"{path}:" in told.err or "jobs.yaml:" in told.err
    assert document["valid"] is False
    assert len(document["problems"]) >= 4
    assert {"file", "line", "column", "code", "message", "hint"} <= set(document["problems"][0])


def test_validate_names_the_jobs_of_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_jobs(tmp_path))

    assert run(["validate", "--file", path]) == ExitCode.OK
    told = capsys.readouterr()

    assert told.out == "report\n"
    assert "is valid for local: 1 job" in told.err


def test_validate_warns_of_a_time_that_the_clocks_skip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = """\
  early:
    schedule: { cron: "cron(30 2 * * ? *)", timezone: Europe/Berlin, alert_after_minutes: 30 }
    lock: { key: early }
    steps:
      - { name: s, command: [x], timeout_minutes: 1 }
"""

    assert run(["validate", "--file", str(write_jobs(tmp_path, jobs))]) == ExitCode.OK

    told = capsys.readouterr()
    assert told.out == "early\n"
    assert "warning  early at" in told.err
    assert "the clocks go" in told.err


def test_render_writes_the_definition_and_its_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_jobs(tmp_path))

    assert run(["render", "asl", "report", "--file", path]) == 0
    definition = json.loads(capsys.readouterr().out)
    assert run(["render", "graph", "report", "--file", path]) == 0
    graph = capsys.readouterr().out
    assert run(["render", "asl", "reprot", "--file", path]) == ExitCode.NOT_FOUND
    told = capsys.readouterr().err

    assert definition["QueryLanguage"] == "JSONata"
    assert graph.startswith("flowchart TD\n")
    assert "did you mean report?" in told


def test_an_error_names_its_own_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "lock-003"]) == 0
    assert "its lock is held" in capsys.readouterr().out
    assert run(["explain", "LOCK-999"]) == ExitCode.USAGE
    assert "no error has the code" in capsys.readouterr().err


def test_a_code_knows_its_exit_status() -> None:
    assert OperationError("LOCK-003", "x").exit_code is ExitCode.CONFLICT
