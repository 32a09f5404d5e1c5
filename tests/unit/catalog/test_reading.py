from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nightlatch.catalog import CatalogError, load_catalog
from nightlatch.catalog.document import LARGEST_BYTES, parse_document
from tests.support.jobs_file import HEAD, ONE_JOB, write_jobs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        (b"", "JOBS-004", (0, 0)),
        (b"# nothing but a comment\n", "JOBS-004", (0, 0)),
        (b"a: 1\nb: caf\xe9\n", "JOBS-002", (2, 7)),
        (b"a:\n\tb: 1\n", "JOBS-004", (2, 1)),
        (b"a: [1, 2\n", "JOBS-004", (2, 1)),
        (b'a: "x\n', "JOBS-004", (2, 1)),
        (b"a: x\nb: \x01\n", "JOBS-004", (2, 1)),
        (b"a: " + b"[" * 50 + b"]" * 50, "JOBS-004", (1, 24)),
        (b"#" * (LARGEST_BYTES + 1), "JOBS-003", (0, 0)),
    ],
)
def test_a_file_that_cannot_be_parsed_has_one_problem(
    tmp_path: Path, text: bytes, code: str, place: tuple[int, int]
) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_bytes(text)

    with pytest.raises(CatalogError) as caught:
        load_catalog(path, "local")

    (problem,) = caught.value.problems
    assert (problem.code, (problem.line, problem.column)) == (code, place)
    assert problem.hint


def test_a_missing_file_and_a_folder_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no such file"):
        load_catalog(tmp_path / "none.yaml", "local")
    with pytest.raises(CatalogError, match="JOBS-001 the file cannot be read: Is a directory"):
        load_catalog(tmp_path, "local")


@pytest.mark.parametrize(
    "text",
    [
        *("12:30", "1:30:15", "017", "0o17", "0x1f", "0b1", "1_000", "+5", "1e3", "1.5e3", ".5", "5."),
        *("2026-11-21", "2026-11-21T06:00:00Z", "2026-11-21 06:00:00", ".inf", "-.INF", ".nan", "=", "<<"),
        *("y", "n", "Y", "yes", "No", "on", "OFF", "True", "FALSE", "Null", "NULL"),
    ],
)
def test_what_parsers_read_differently_must_be_quoted(text: str) -> None:
    bare = parse_document(f"a: {text}\n", "f")
    quoted = parse_document(f'a: "{text}"\n', "f")

    assert [it.code for it in bare.problems] == ["JOBS-006"]
    assert f'"{text}"' in bare.problems[0].hint
    assert not quoted.problems
    assert quoted.root.plain() == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-5", -5),
        ("1.50", 1.5),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("1.2.3", "1.2.3"),
        ("3rd", "3rd"),
        ("a_b", "a_b"),
        ("-x", "-x"),
        ("12:30pm", "12:30pm"),
        ("|-\n  017", "017"),
    ],
)
def test_what_all_parsers_read_alike_is_read(text: str, value: object) -> None:
    document = parse_document(f"a: {text}\n", "f")

    assert not document.problems
    assert document.root.plain() == {"a": value}
    assert type(document.root.plain()["a"]) is type(value)  # type: ignore[call-overload,index]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: 2\n", "anchors"),
        ("a: *x\n", "anchors"),
        ("a: !!str 1\n", "tag"),
        ("{a: 1}\n---\n{b: 1}\n", "second YAML document"),
        ("? [a, b]\n: 1\n", "not a word"),
    ],
)
def test_features_that_terraform_reads_differently_are_refused(text: str, message: str) -> None:
    problems = parse_document(text, "f").problems

    assert [it.code for it in problems] == ["JOBS-005"]
    assert message in problems[0].message


@pytest.mark.parametrize("key", ["y", "on", "12", "017", "2026-11-21", "true"])
def test_a_key_that_is_not_text_everywhere_is_refused(key: str) -> None:
    assert [it.code for it in parse_document(f"{key}: 1\n", "f").problems] == ["JOBS-006"]
    assert not parse_document(f'"{key}": 1\n', "f").problems


def test_a_duplicate_key_is_found_in_flow_and_block_style() -> None:
    problems = parse_document("a: {b: 1, b: 2}\nc: 1\na: {d: [1, {e: 1, e: 2}]}\n", "f").problems

    assert [(it.line, it.column, it.code) for it in problems] == [
        (1, 11, "JOBS-007"),
        (3, 1, "JOBS-007"),
        (3, 19, "JOBS-007"),
    ]


def test_an_ambiguous_value_is_told_once(tmp_path: Path) -> None:
    path = write_jobs(tmp_path, ONE_JOB.replace("timeout_minutes: 10", "timeout_minutes: 1_000"))

    with pytest.raises(CatalogError) as caught:
        load_catalog(path, "local")

    assert [it.code for it in caught.value.problems] == ["JOBS-006"]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(HEAD + ONE_JOB, encoding="utf-8-sig")

    assert list(load_catalog(path, "local").jobs) == ["report"]
