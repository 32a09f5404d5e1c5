"""cron, rate and at mean what AWS documents, also where the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from aws_croniter import AwsCroniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nightlatch.schedules import Cron, ScheduleError, parse

START = datetime(2026, 1, 1, tzinfo=UTC)


def fires(expression: str, count: int, timezone: str = "UTC", after: datetime = START) -> list[str]:
    return [
        moment.strftime("%Y-%m-%d %H:%M") for moment in parse(expression, timezone).next_times(after, count)
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 6 * * ? *)", ["2026-01-01 06:00", "2026-01-02 06:00"]),
        ("cron(15 12 ? * MON-FRI *)", ["2026-01-01 12:15", "2026-01-02 12:15", "2026-01-05 12:15"]),
        ("cron(0/25 8 1 * ? *)", ["2026-01-01 08:00", "2026-01-01 08:25", "2026-01-01 08:50"]),
        ("cron(*/30 0 1 1 ? *)", ["2026-01-01 00:30", "2027-01-01 00:00"]),
        ("cron(5,10 0 1 JAN,jul ? *)", ["2026-01-01 00:05", "2026-01-01 00:10", "2026-07-01 00:05"]),
        ("cron(0 0 1-5/2 2 ? *)", ["2026-02-01 00:00", "2026-02-03 00:00", "2026-02-05 00:00"]),
        # Last days.
        ("cron(0 0 L * ? *)", ["2026-01-31 00:00", "2026-02-28 00:00", "2026-03-31 00:00"]),
        ("cron(0 0 L-2 * ? *)", ["2026-01-29 00:00", "2026-02-26 00:00"]),
        ("cron(0 0 ? * L *)", ["2026-01-03 00:00", "2026-01-10 00:00"]),
        ("cron(0 0 ? * 6L *)", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("cron(0 0 ? * FRIL *)", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        # 2026-02-28 is a Saturday, 2026-01-31 too.
        ("cron(0 0 LW * ? *)", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-31 00:00"]),
        # Weekdays: the first of August 2026 is a Saturday and must not go back into July.
        ("cron(0 0 3W * ? *)", ["2026-01-02 00:00", "2026-02-03 00:00"]),
        ("cron(0 0 1W 8 ? *)", ["2026-08-03 00:00"]),
        ("cron(0 0 31W 5 ? 2026)", ["2026-05-29 00:00"]),
        ("cron(0 0 31W * ? 2026)", ["2026-01-30 00:00", "2026-03-31 00:00"]),
        # The n-th weekday; a fifth Thursday is rare.
        ("cron(0 0 ? * 3#2 *)", ["2026-01-13 00:00", "2026-02-10 00:00"]),
        ("cron(0 0 ? * THU#5 *)", ["2026-01-29 00:00", "2026-04-30 00:00"]),
        # Days of the week count from Sunday, and a range may go over the end of the week.
        ("cron(0 0 ? * 1 *)", ["2026-01-04 00:00"]),
        ("cron(0 0 ? * FRI-SUN *)", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        # Years.
        ("cron(0 0 1 1 ? 2026/3)", ["2029-01-01 00:00", "2032-01-01 00:00"]),
        ("cron(0 0 1 1 ? 2031-2032)", ["2031-01-01 00:00", "2032-01-01 00:00"]),
        ("cron(0 0 29 2 ? *)", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("rate(1 day)", ["2026-01-02 00:00", "2026-01-03 00:00"]),
        ("at(2026-11-21T21:00:00)", ["2026-11-21 21:00"]),
    ],
)
def test_what_aws_documents(expression: str, expected: list[str]) -> None:
    assert fires(expression, len(expected)) == expected


def test_a_leap_day_is_found_over_the_turn_of_a_century() -> None:
    assert fires("cron(0 0 29 2 ? *)", 1, after=datetime(2096, 3, 1, tzinfo=UTC)) == ["2104-02-29 00:00"]


@pytest.mark.parametrize(
    "expression", ["cron(30 9 L-30 2 ? *)", "cron(0 0 1 1 ? 2020)", "at(2020-01-01T00:00:00)"]
)
def test_what_never_comes_is_nothing(expression: str) -> None:
    assert fires(expression, 3) == []


@pytest.mark.parametrize(
    "expression",
    [
        "0 6 * * ? *",
        "cron(0 6 * * *)",
        "cron(0 6 * * * *)",
        "cron(0 6 ? * ? *)",
        "cron(60 6 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 0 * ? *)",
        "cron(0 0 32W * ? *)",
        "cron(0 0 L-31 * ? *)",
        "cron(0 0 1 13 ? *)",
        "cron(0 0 ? * 0 *)",
        "cron(0 0 ? * MON#6 *)",
        "cron(0 0 ? * 3#1,6#3 *)",
        "cron(0 0 ? * MOON *)",
        "cron(0 0 ? * 2/2 *)",
        "cron(0/0 0 * * ? *)",
        "cron(0 0 1 1 ? 1969)",
        "cron(0 0 1 1 ? 2200)",
        "cron(, 0 1 1 ? *)",
        "cron(\u0661 0 1 1 ? *)",
        "rate(0 minutes)",
        "rate(5 seconds)",
        "rate(1.5 hours)",
        "at(2026-11-21)",
        "at(2026-13-21T00:00:00)",
        "at(2026-11-21T00:00:00Z)",
    ],
)
def test_what_aws_refuses(expression: str) -> None:
    with pytest.raises(ScheduleError):
        parse(expression)


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "", "../../etc/passwd", "JST9"])
def test_a_time_zone_that_does_not_exist(timezone: str) -> None:
    with pytest.raises(ScheduleError, match="time zone"):
        parse("cron(0 6 * * ? *)", timezone)


def test_tokyo_is_nine_hours_ahead() -> None:
    assert fires("cron(0 6 * * ? *)", 2, "Asia/Tokyo") == ["2026-01-01 21:00", "2026-01-02 21:00"]
    assert fires("at(2026-11-22T06:00:00)", 1, "Asia/Tokyo") == ["2026-11-21 21:00"]


def test_a_skipped_local_time_does_not_fire() -> None:
    # In New York 2026-03-08 02:00 to 03:00 does not exist.
    after = datetime(2026, 3, 7, 0, tzinfo=UTC)
    assert fires("cron(30 2 * * ? *)", 2, "America/New_York", after) == [
        "2026-03-07 07:30",
        "2026-03-09 06:30",
    ]
    (anomaly,) = parse("cron(30 2 * * ? *)", "America/New_York").anomalies(after, after + timedelta(days=7))
    assert (anomaly.kind, anomaly.local, anomaly.fires_at) == ("skipped", datetime(2026, 3, 8, 2, 30), None)  # noqa: DTZ001


def test_a_repeated_local_time_fires_once() -> None:
    # In New York 2026-11-01 01:00 to 02:00 comes twice.
    after = datetime(2026, 10, 31, 12, tzinfo=UTC)
    expression = parse("cron(30 1 * * ? *)", "America/New_York")
    assert fires("cron(30 1 * * ? *)", 2, "America/New_York", after) == [
        "2026-11-01 05:30",
        "2026-11-02 06:30",
    ]
    (anomaly,) = expression.anomalies(after, after + timedelta(days=7))
    assert (anomaly.kind, anomaly.fires_at) == ("repeated", datetime(2026, 11, 1, 5, 30, tzinfo=UTC))


def test_asked_within_the_second_pass_nothing_of_it_fires_again() -> None:
    between = datetime(2026, 11, 1, 6, 10, tzinfo=UTC)  # 01:10 for the second time
    assert fires("cron(0/15 * * * ? *)", 1, "America/New_York", between) == ["2026-11-01 07:00"]


def test_a_rate_of_a_day_is_24_hours_whatever_the_clocks_do() -> None:
    anchor = datetime(2026, 3, 7, 12, tzinfo=UTC)
    times = parse("rate(1 days)", "America/New_York", anchor=anchor).next_times(anchor, 2)
    assert times == [anchor + timedelta(days=1), anchor + timedelta(days=2)]


def test_a_rate_begins_at_its_anchor_and_not_before() -> None:
    anchor = START + timedelta(hours=5)
    rate = parse("rate(2 hours)", anchor=anchor)
    assert rate.next_times(START, 2) == [anchor, anchor + timedelta(hours=2)]
    assert rate.next_times(anchor + timedelta(hours=3), 1) == [anchor + timedelta(hours=4)]


@pytest.mark.parametrize(
    ("expression", "kinds"),
    [
        ("at(2026-03-08T02:30:00)", ["skipped"]),
        ("at(2026-11-01T01:30:00)", ["repeated"]),
        ("rate(1 hour)", []),
    ],
)
def test_anomalies_of_other_expressions(expression: str, kinds: list[str]) -> None:
    found = parse(expression, "America/New_York").anomalies(START, START + timedelta(days=365))
    assert [anomaly.kind for anomaly in found] == kinds


def field(low: int, high: int, *, increments: bool = True) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.tuples(st.one_of(st.just("*"), number.map(str), ranges), st.integers(1, high)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    )
    kinds = [number.map(str), ranges, *([steps] if increments else [])]
    items = st.lists(st.one_of(kinds), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), items)


days = st.one_of(
    st.tuples(st.one_of(field(1, 31), st.just("L"), st.integers(1, 31).map(lambda n: f"{n}W")), st.just("?")),
    st.tuples(
        st.just("?"),
        st.one_of(
            field(1, 7, increments=False),
            st.integers(1, 7).map(lambda n: f"{n}L"),
            st.tuples(st.integers(1, 7), st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}"),
        ),
    ),
)


# Local times: without a zone.
moments = st.integers(0, 16 * 365 * 1440).map(lambda n: START.replace(tzinfo=None) + timedelta(minutes=n))


@settings(max_examples=150, deadline=None)
@given(field(0, 59), field(0, 23), days, field(1, 12), moments)
def test_an_independent_reading_agrees(
    minute: str, hour: str, day: tuple[str, str], month: str, after: datetime
) -> None:
    text = f"{minute} {hour} {day[0]} {month} {day[1]} *"
    (theirs,) = AwsCroniter(text).get_next(after.replace(tzinfo=UTC))
    # The other reading gives up after a few months without a match; where it answers, it must be ours.
    assume(theirs is not None)

    assert next(Cron.parse(text).after(after)) == theirs.replace(tzinfo=None)
