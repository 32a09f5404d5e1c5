from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from nightlatch.catalog import load_catalog
from nightlatch.operations.firings import (
    REPEATED,
    SKIPPED,
    first_trick,
    next_firings,
    next_happening,
    previous_firing,
)
from tests.support.jobs_file import write_jobs

BERLIN = "Europe/Berlin"
AT_HALF_PAST_TWO = "cron(30 2 * * ? *)"

if TYPE_CHECKING:
    from pathlib import Path


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def test_a_time_that_the_clocks_skip_is_marked_and_does_not_happen() -> None:
    found = next_firings(AT_HALF_PAST_TWO, BERLIN, utc(2027, 3, 27, 12), 2)

    assert [(it.local, it.note) for it in found] == [
        ("2027-03-28 02:30", SKIPPED),
        ("2027-03-29 02:30", None),
    ]
    happening = next_happening(AT_HALF_PAST_TWO, BERLIN, utc(2027, 3, 27, 12))
    assert happening is not None
    assert happening.at == utc(2027, 3, 29, 0, 30)


def test_a_time_that_comes_twice_fires_once() -> None:
    found = next_firings(AT_HALF_PAST_TWO, BERLIN, utc(2027, 10, 30, 12), 2)

    assert [(it.at, it.note) for it in found] == [
        (utc(2027, 10, 31, 0, 30), REPEATED),
        (utc(2027, 11, 1, 1, 30), None),
    ]


def test_a_zone_without_summer_time_has_no_marks() -> None:
    found = next_firings("cron(0 6 * * ? *)", "Asia/Tokyo", utc(2027, 1, 1), 400)

    assert {it.note for it in found} == {None}
    assert found[0].at == utc(2027, 1, 1, 21)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (utc(2026, 11, 21, 20, 59), utc(2026, 11, 20, 21)),
        (utc(2026, 11, 21, 21, 0), utc(2026, 11, 21, 21)),
        (utc(2026, 11, 21, 21, 0, 30), utc(2026, 11, 21, 21)),
    ],
)
def test_the_previous_firing(before: datetime, expected: datetime) -> None:
    found = previous_firing("cron(0 6 * * ? *)", "Asia/Tokyo", before)

    assert found is not None
    assert found.at == expected


def test_the_previous_firing_may_be_one_that_was_skipped() -> None:
    found = previous_firing(AT_HALF_PAST_TWO, BERLIN, utc(2027, 3, 28, 12))

    assert found is not None
    assert (found.local, found.happens) == ("2027-03-28 02:30", False)


def test_a_rate_counts_from_its_anchor() -> None:
    anchor = utc(2026, 11, 21, 20, 2)

    following = next_firings("rate(5 minutes)", "UTC", anchor + timedelta(minutes=7), 2, anchor=anchor)
    previous = previous_firing("rate(5 minutes)", "UTC", anchor + timedelta(minutes=7), anchor=anchor)

    assert [it.at for it in following] == [anchor + timedelta(minutes=10), anchor + timedelta(minutes=15)]
    assert previous is not None
    assert previous.at == anchor + timedelta(minutes=5)
    assert previous_firing("rate(5 minutes)", "UTC", anchor) is None


def test_a_single_time_fires_once() -> None:
    expression = "at(2027-01-31T06:00:00)"

    assert [it.at for it in next_firings(expression, "Asia/Tokyo", utc(2027, 1, 1), 5)] == [
        utc(2027, 1, 30, 21)
    ]
    assert next_firings(expression, "Asia/Tokyo", utc(2027, 2, 1), 5) == []
    assert previous_firing(expression, "Asia/Tokyo", utc(2027, 1, 1)) is None


@pytest.mark.parametrize(
    ("cron", "local"), [("30 2 * * ? *", "2027-03-28 02:30"), ("0 4 * * ? *", None), ("* * * * ? *", None)]
)
def test_the_coming_year_is_searched_for_tricks_of_the_clock(
    tmp_path: Path, cron: str, local: str | None
) -> None:
    schedule = f'{{ cron: "cron({cron})", timezone: Europe/Berlin, alert_after_minutes: 30 }}'
    steps = "[{ name: s, command: [x], timeout_minutes: 1 }]"
    jobs = f"  early:\n    schedule: {schedule}\n    lock: {{ key: a }}\n    steps: {steps}\n"
    job = load_catalog(write_jobs(tmp_path, jobs), "local").jobs["early"]

    found = first_trick(job, utc(2026, 11, 21))

    assert (found.local if found else None) == local


def test_the_last_year_of_an_expression_ends_it() -> None:
    assert next_firings("cron(0 6 1 1 ? 2026)", "UTC", utc(2026, 6, 1), 3) == []
