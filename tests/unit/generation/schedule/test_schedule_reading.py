"""What is wrong with an input is said with its line, whatever is wrong."""

import json
from datetime import date
from pathlib import Path

import pytest

from tasks.contract import exit_codes
from tasks.jobs.generation.schedule.explain import topological_order
from tasks.jobs.generation.schedule.problems import WrongProjectError, line_of
from tasks.jobs.generation.schedule.project import json_schema
from tasks.jobs.generation.schedule.reading import read_project
from tests.support.projects import SM

ACTIVITY = '{"id": "a", "duration": 1}'
TOO_MUCH = """{"start": "2026-04-01", "resources": [{"id": "c", "units": 1}], "activities": [
{"id": "a", "duration": 1,
 "needs": {"c": 2}}]}"""
WRONG = [
    ("p.json", '{"start": "2026-04-01",\n "activities": [', "p.json:2: not JSON"),
    ("p.json", "", "p.json:1: not JSON"),
    ("p.json", "[" * 100_000, "nested"),
    ("p.json", "[]", "valid dictionary"),
    ("p.json", f'{{"start": "2026-04-01",\n"start": "2026-04-02",\n"activities": [{ACTIVITY}]}}', "p.json:2"),
    ("p.json", '{"start": "2026-04-01", "activities": []}', "at least 1"),
    (
        "p.json",
        '{"start": "2026-04-01", "activities": [\n{"id": "a", "duration": -1}]}',
        "p.json:2: activities.0",
    ),
    ("p.json", '{"start": "2026-04-01", "activities": [\n{"id": "a", "duration": 1.5}]}', "integer"),
    ("p.json", '{"start": "2026-04-01", "activities": [\n{"id": "a", "duration": 99999}]}', "3650"),
    ("p.json", '{"start": "2026-02-30",\n"activities": [' + ACTIVITY + "]}", "p.json:1: start"),
    ("p.json", '{"start": "2026-04-01", "activities": [' + ACTIVITY + ",\n\n" + ACTIVITY + "]}", "p.json:3"),
    (
        "p.json",
        '{"start": "2026-04-01", "activities": [\n{"id": "a", "duration": 1, "after": ["z"]}]}',
        "p.json:2",
    ),
    (
        "p.json",
        '{"start": "2026-04-01", "activities": [\n{"id": "a", "duration": 1, "after": ["a"]}]}',
        "itself",
    ),
    (
        "p.json",
        TOO_MUCH,
        "p.json:3: activity a: needs 2 of c, and there are only 1",
    ),
    ("p.json", '{"start": "2026-04-01", "activites": [], "activities": [' + ACTIVITY + "]}", "activites"),
    (
        "p.json",
        '{"start": "2026-04-01", "activities": [{"id": "a", "duration": 1, "calendar": "night"}]}',
        "no calendar night",
    ),
    ("p.csv", "id,duration\na,1\n", "--start"),
    ("p.csv", "id,duration,start\na,1,2\n", "p.csv:1: unknown columns start"),
    ("p.csv", "id,duration\na,1\nb,two\n", "p.csv:3: duration 'two'"),
    ("p.csv", "id,duration,after\na,1,\nb,1,a XX 3\n", "p.csv:3: after 'a XX 3'"),
    ("p.csv", "id,duration,after\na,1,\n\nb,1,zz\n", "p.csv:4"),
    ("p.csv", 'id,duration\na,1,"\n', "p.csv:"),
    ("p.sm", SM[:300], "cut off"),
    (
        "p.sm",
        SM.replace("  3      1     5       2    1", "  3      1     5       2"),
        "p.sm:18: 1 needs for 2",
    ),
    (
        "p.sm",
        SM.replace("nonrenewable              :  0", "nonrenewable              :  2"),
        "p.sm:4: nonrenewable",
    ),
    (
        "p.sm",
        SM.replace("   3        1          1", "   3        2          1"),
        "p.sm:10: activity 3 has 2 modes",
    ),
    ("p.sm", "\x00\x01", "not a PSPLIB file"),
]


@pytest.mark.parametrize(("name", "text", "reason"), WRONG, ids=range(len(WRONG)))
def test_wrong_input_is_refused_with_the_line_and_the_reason(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    location = tmp_path / name
    location.write_text(text)
    start = date(2026, 4, 1) if name.endswith(".csv") and reason != "--start" else None

    with pytest.raises(WrongProjectError) as refused:
        topological_order(read_project(str(location), start))

    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == exit_codes.WRONG_INPUT


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    location = tmp_path / "p.json"
    lines = [f'{{"id": "a{k}", "duration": 1, "after": ["z"]}}' for k in range(30)]
    location.write_text('{"start": "2026-04-01", "activities": [\n' + ",\n".join(lines) + "]}")

    with pytest.raises(WrongProjectError) as refused:
        read_project(str(location))

    assert [problem.where for problem in refused.value.problems] == [f"p.json:{k + 2}" for k in range(30)]
    assert "and 10 more" in str(refused.value)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), 1),
        (("b",), 2),
        (("b", 1), 4),
        (("b", 1, "c"), 5),
        (("none",), 1),
        (("b", 9), 2),
        (("b", 1, "x"), 4),
    ],
)
def test_the_line_of_a_place_or_of_what_is_around_it(place: tuple[str | int, ...], line: int) -> None:
    assert line_of('{"a": {"b": "]}"},\n"b": [\n1,\n{\n"c": 1}]}', place) == line


def test_the_shipped_schema_is_the_one_of_the_code() -> None:
    shipped = Path(__file__).resolve().parents[4] / "tasks/jobs/generation/schedule/project.schema.json"

    assert json.loads(shipped.read_text()) == json_schema()
