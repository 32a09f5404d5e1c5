from __future__ import annotations

from pathlib import Path

import pytest

from nightlatch.catalog import CODES, CatalogError, load_catalog

FILE = Path(__file__).with_name("twenty_mistakes.yaml")

# line, code, a word of the message, a word of the hint
EXPECTED = [
    (9, "JOBS-013", "300", "at most 120"),
    (11, "JOBS-011", "exit", "defaults are complete"),
    (14, "JOBS-015", "Nightly_Report", "small letters"),
    (21, "JOBS-022", "alert_after_minutes", "waking"),
    (22, "JOBS-020", "cron(0 6 * * * *)", "?"),
    (23, "JOBS-021", "Asia/Tokio", "Asia/Tokyo"),
    (24, "JOBS-014", "skipp", "did you mean 'skip'?"),
    (26, "JOBS-011", "timeout_minutes", "add timeout_minutes"),
    (27, "JOBS-013", "empty", "at least 1"),
    (28, "JOBS-010", "timeout_minuts", "did you mean 'timeout_minutes'?"),
    (29, "JOBS-016", "fetch stands twice", "rename"),
    (31, "JOBS-006", "12:30", '"12:30"'),
    (33, "JOBS-030", "512 MiB with 512", "1024, 2048, 3072, 4096"),
    (34, "JOBS-034", "NIGHTLATCH_TOKEN", "NIGHTLATCH_"),
    (34, "JOBS-033", "'{%' and '%}' are evaluated by Step Functions", "without"),
    (34, "JOBS-012", "LEVEL", "quotes"),
    (37, "JOBS-013", "-1", "more than 0"),
    (38, "JOBS-012", "exit_75", "without quotes"),
    (38, "JOBS-010", "exit_256", "exit_1 to exit_255"),
    (40, "JOBS-040", "prd", "did you mean 'prod'?"),
    (42, "JOBS-013", "100000", "at most 1380"),
    (43, "JOBS-007", "description", "keep one"),
    (44, "JOBS-011", "watchdog has no lock", "no default"),
    (44, "JOBS-016", "watchdog is reserved", "choose another"),
    (47, "JOBS-035", "0.01", "3 seconds"),
]


@pytest.fixture(scope="module")
def caught() -> CatalogError:
    with pytest.raises(CatalogError) as info:
        load_catalog(FILE, "local")
    return info.value


def test_every_mistake_is_reported_at_once_with_its_line_and_code(caught: CatalogError) -> None:
    assert [(it.line, it.code) for it in caught.problems] == [(line, code) for line, code, _, _ in EXPECTED]


def test_every_mistake_says_what_and_what_to_do(caught: CatalogError) -> None:
    for problem, (_, _, what, hint) in zip(caught.problems, EXPECTED, strict=True):
        assert what in problem.message, problem
        assert hint in problem.hint, problem


def test_the_columns_point_at_the_culprit(caught: CatalogError) -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    pointed = {it.code + str(it.line): lines[it.line - 1][it.column - 1 :] for it in caught.problems}

    assert pointed["JOBS-0139"].startswith("300")
    assert pointed["JOBS-02123"].startswith("Asia/Tokio")
    assert pointed["JOBS-01424"].startswith("skipp")
    assert pointed["JOBS-01028"].startswith("timeout_minuts:")
    assert pointed["JOBS-00631"].startswith("12:30")
    assert pointed["JOBS-03434"].startswith("NIGHTLATCH_TOKEN:")
    assert pointed["JOBS-04040"].startswith("prd:")


def test_the_error_as_text_has_one_place_for_each_mistake(caught: CatalogError) -> None:
    text = str(caught)

    assert text.splitlines()[0] == f"{FILE} has {len(EXPECTED)} mistakes"
    assert f"{FILE}:24:39: JOBS-014 nightly-import: lock.on_conflict cannot be 'skipp'" in text
    assert "pydantic" not in text


def test_codes_are_explained(caught: CatalogError) -> None:
    assert {it.code for it in caught.problems} <= set(CODES)
