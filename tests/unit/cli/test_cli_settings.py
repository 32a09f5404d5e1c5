from __future__ import annotations

from pathlib import Path

import pytest

from nightlatch.cli.invocation import Invocation, find_jobs_file
from nightlatch.cli.settings import Color, Format, Settings, TimeStyle
from nightlatch.operations.errors import OperationError


def test_after_wins_over_before_over_variable_over_default() -> None:
    variables = {"NIGHTLATCH_ENV": "stg", "NIGHTLATCH_REGION": "eu-west-1", "NIGHTLATCH_QUIET": "1"}

    settled = Settings.resolve({"env": "prod", "profile": None}, {"env": "dev", "profile": "p"}, variables)

    assert (settled.env, settled.profile, settled.region, settled.quiet) == ("prod", "p", "eu-west-1", True)
    assert settled.output is Format.TABLE
    assert not settled.local


def test_every_kind_of_variable_is_read() -> None:
    variables = {
        "NIGHTLATCH_FORMAT": "jsonl",
        "NIGHTLATCH_TIME": "utc",
        "NIGHTLATCH_COLOR": "never",
        "NIGHTLATCH_FILE": "/a/jobs.yaml",
        "NIGHTLATCH_DEBUG": "no",
        "NIGHTLATCH_ENV": "",
    }

    settled = Settings.resolve({}, {}, variables)

    assert (settled.output, settled.time, settled.color) == (Format.JSONL, TimeStyle.UTC, Color.NEVER)
    assert (settled.file, settled.debug, settled.env) == (Path("/a/jobs.yaml"), False, "local")


@pytest.mark.parametrize(("name", "value"), [("NIGHTLATCH_FORMAT", "xml"), ("NIGHTLATCH_QUIET", "perhaps")])
def test_a_variable_with_a_bad_value_is_named(name: str, value: str) -> None:
    with pytest.raises(OperationError, match=name) as caught:
        Settings.resolve({}, {}, {name: value})

    assert caught.value.code == "USE-001"


def test_the_jobs_file_is_the_first_one_upwards(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "jobs.yaml").touch()

    assert find_jobs_file(deep) == tmp_path / "jobs.yaml"

    (tmp_path / "a" / "jobs.yaml").touch()

    assert find_jobs_file(deep) == tmp_path / "a" / "jobs.yaml"


def test_a_jobs_file_that_was_named_must_exist(tmp_path: Path) -> None:
    invocation = Invocation(Settings(file=tmp_path / "none.yaml"), {})

    with pytest.raises(OperationError) as caught:
        _ = invocation.jobs_file

    assert caught.value.code == "FILE-001"


def test_state_lies_beside_the_jobs_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.touch()

    assert Invocation(Settings(file=path), {}).state_folder == tmp_path / ".nightlatch" / "local"
    assert Invocation(Settings(file=path, state=Path("x")), {}).state_folder == Path("x")


def test_a_real_environment_uses_no_endpoint_of_the_local_aws(tmp_path: Path) -> None:
    settings = Settings(env="prod", region="eu-west-1", state=tmp_path)

    clients = Invocation(settings, {}).clients

    assert clients.endpoint_url is None
    assert clients.region == "eu-west-1"


def test_the_local_environment_never_uses_real_credentials() -> None:
    clients = Invocation(Settings(), {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).clients

    assert clients.endpoint_url == "http://127.0.0.1:1"
    credentials = clients.session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "nightlatch-local"
