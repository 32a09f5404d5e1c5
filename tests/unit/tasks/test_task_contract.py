import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract import (
    Assignment,
    AssignmentError,
    Claimable,
    Progress,
    exit_codes,
    parse_progress,
    variables,
)


def test_progress_survives_the_line() -> None:
    told = Progress(done=120, total=4000, phase="check", message='五月の記事 \u2028 "quoted"', rate=53.2)

    assert "\n" not in told.line()
    assert parse_progress(told.line()) == told
    assert parse_progress(told.line().encode()) == told


def test_progress_says_what_is_left() -> None:
    assert Progress(done=250, total=1000, rate=50).seconds_left == 15
    assert Progress(done=250, total=1000, rate=50).fraction == 0.25
    assert Progress(done=250).fraction is None
    assert Progress(done=250, total=1000).seconds_left is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "plain talk",
        '{"nightlatch":"other","done":1}',
        '{"nightlatch":"progress"}',
        '{"nightlatch":"progress","done":-1}',
        '{"nightlatch":"progress","done":true}',
        '{"nightlatch":"progress","done":1e400}',
        '{"nightlatch":"progress","done":1',
        '["nightlatch"]',
        '{"nightlatch":"progress","done":1,"x":' + "[" * 9000 + "}",
        '{"nightlatch":"progress","done":1,"message":"' + "x" * 20_000 + '"}',
    ],
)
def test_other_lines_are_not_progress(line: str) -> None:
    assert parse_progress(line) is None
    assert parse_progress(line.encode()) is None


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: b'{"nightlatch":' + data))
def test_no_line_breaks_the_reader(line: bytes) -> None:
    parse_progress(line)


def test_the_assignment_is_read_from_the_contract_variables() -> None:
    told = Assignment.read(
        {
            variables.JOB: "nightly",
            variables.LOCK_TABLE: "locks",
            variables.LOCK_KEY: "articles",
            variables.OWNER: "arn:execution",
            variables.GRANT: "g1",
            variables.DEADLINE: "1764300000500",
            variables.STOP_GRACE: "20",
            variables.ATTEMPT: "3",
            variables.PARAMS: '{"since":"2026-11-01"}',
        }
    )

    assert told.claimable == Claimable("locks", "articles", "arn:execution", "g1")
    assert (told.deadline, told.stop_grace, told.attempt) == (1764300000.5, 20, 3)
    assert told.params == {"since": "2026-11-01"}


def test_an_empty_environment_is_a_run_by_hand() -> None:
    assert Assignment.read({}) == Assignment()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({variables.LOCK_TABLE: "t", variables.GRANT: "g"}, "NIGHTLATCH_LOCK_KEY, NIGHTLATCH_OWNER not set"),
        ({variables.DEADLINE: "soon"}, "NIGHTLATCH_DEADLINE='soon' is not a number"),
        ({variables.DEADLINE: "nan"}, "NIGHTLATCH_DEADLINE='nan' is not a number"),
        ({variables.PARAMS: "{"}, "NIGHTLATCH_PARAMS is not JSON"),
        ({variables.PARAMS: '{"n":1}'}, "whose values are strings"),
    ],
)
def test_a_broken_environment_is_named(environment: dict[str, str], says: str) -> None:
    with pytest.raises(AssignmentError, match=says):
        Assignment.read(environment)


def test_exit_codes_say_what_they_mean() -> None:
    assert exit_codes.describe(0) == "done"
    assert exit_codes.describe(139) == "ended by signal 11"
    assert exit_codes.describe(7) == "the job's own exit code"
    assert exit_codes.from_signal(15) == exit_codes.STOPPED


def test_the_contract_needs_the_standard_library_only() -> None:
    program = (
        "import sys, tasks.contract\n"
        "ours = {name for name in sys.modules if name.partition('.')[0] in "
        "{'boto3', 'botocore', 'structlog', 'pydantic', 'lock', 'pycurl', 'sqlalchemy'}}\n"
        "assert not ours, ours"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
