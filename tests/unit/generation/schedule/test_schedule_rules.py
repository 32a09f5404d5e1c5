"""Calendars, lags and deadlines: what a schedule must keep, in examples with known dates."""

from datetime import date, timedelta
from itertools import pairwise

import pytest

from tasks.jobs.generation.schedule.calendars import WorkingDays, japanese_holidays
from tasks.jobs.generation.schedule.explain import hopeless_deadline, missed_deadlines, topological_order
from tasks.jobs.generation.schedule.problems import WrongProjectError
from tasks.jobs.generation.schedule.project import Calendar, Project, Rain
from tests.support.projects import compiled, project, solved

WORK = {"id": "a", "duration": 3}


def days(works: WorkingDays, first: date, last: date) -> list[int]:
    span = (first + timedelta(days=k) for k in range((last - first).days + 1))
    return [day.day for day in span if works(day)]


def test_golden_week_of_2026_with_its_substitute_holiday() -> None:
    works = WorkingDays(Calendar())

    # 29 April (Showa Day), 3 to 5 May, and 6 May instead of Sunday the 3rd.
    assert days(works, date(2026, 4, 27), date(2026, 5, 8)) == [27, 28, 30, 1, 7, 8]
    assert japanese_holidays(2026)[date(2026, 5, 6)] == "振替休日"


def test_a_day_between_two_holidays_is_a_holiday() -> None:
    # Article 3, paragraph 3: 22 September 2026 lies between 敬老の日 and 秋分の日.
    assert not WorkingDays(Calendar())(date(2026, 9, 22))


def test_open_days_win_over_holidays_and_closed_periods() -> None:
    calendar = Calendar.model_validate(
        {"closed": [{"from": "2026-08-12", "to": "2026-08-16"}], "open": ["2026-08-13", "2026-08-15"]}
    )

    assert days(WorkingDays(calendar), date(2026, 8, 10), date(2026, 8, 18)) == [10, 13, 15, 17, 18]


def test_rain_takes_as_many_working_days_as_the_reserve_and_known_days_count() -> None:
    dry, wet = (
        WorkingDays(Calendar()),
        Rain.model_validate({"days": ["2026-06-10"], "reserve_per_month": {"6": 7}}),
    )
    first, last = date(2026, 6, 1), date(2026, 6, 30)

    left = days(WorkingDays(Calendar(), wet), first, last)

    assert len(left) == len(days(dry, first, last)) - 7
    assert 10 not in left
    gaps = [later - before for before, later in pairwise(left)]
    assert max(gaps) <= 5  # spread, not in one piece: at most a weekend and two days


def test_only_outdoor_work_waits_for_the_rain() -> None:
    rain = {"days": ["2026-04-07"]}
    _, dates, _ = solved(project([{**WORK, "outdoor": True}, {"id": "b", "duration": 3}], rain=rain))

    assert dates["a"].finish == date(2026, 4, 9)
    assert dates["b"].finish == date(2026, 4, 8)


def test_work_goes_on_after_golden_week() -> None:
    _, dates, _ = solved(project([{"id": "a", "duration": 4}], start="2026-04-28", calendars={}))

    assert (dates["a"].start, dates["a"].finish) == (date(2026, 4, 28), date(2026, 5, 7))


@pytest.mark.parametrize(
    ("kind", "lag", "unit", "begins"),
    [
        ("FS", 0, "working", date(2026, 4, 9)),
        ("FS", 2, "working", date(2026, 4, 13)),
        ("FS", 2, "calendar", date(2026, 4, 13)),  # Saturday: from Monday
        ("FS", 5, "calendar", date(2026, 4, 14)),
        ("FS", -1, "working", date(2026, 4, 8)),
        ("SS", 1, "working", date(2026, 4, 7)),
        ("FF", 0, "working", date(2026, 4, 7)),
        ("FF", 2, "working", date(2026, 4, 9)),
        ("SF", 5, "working", date(2026, 4, 9)),
    ],
)
def test_every_kind_of_lag(kind: str, lag: int, unit: str, begins: date) -> None:
    link = {"activity": "a", "kind": kind, "lag": lag, "unit": unit}
    _, dates, _ = solved(project([WORK, {"id": "b", "duration": 2, "after": [link]}], calendars={}))

    assert dates["b"].start == begins


def test_a_milestone_is_reached_on_the_evening_of_the_last_day() -> None:
    done = {"id": "done", "duration": 0, "after": ["a"], "deadline": "2026-04-10"}
    _, dates, _ = solved(project([{"id": "a", "duration": 5}, done], calendars={}))

    assert dates["done"].start is None
    assert dates["done"].finish == date(2026, 4, 10)


def test_greedy_is_repaired_where_it_misses_a_deadline_that_can_be_kept() -> None:
    # The long chain looks urgent by latest finish time, but the short activity must go first.
    given = project(
        [
            {"id": "x", "duration": 4, "needs": {"crew": 1}, "deadline": "2026-04-30"},
            {
                "id": "y",
                "duration": 4,
                "needs": {"crew": 1},
                "not_before": "2026-04-08",
                "deadline": "2026-04-11",
            },
        ],
        resources=[{"id": "crew", "units": 1}],
        deadline="2026-04-16",
    )
    search, dates, _ = solved(given)

    assert search.value[0] == 0
    assert search.proved
    assert dates["y"].finish == date(2026, 4, 11)


def test_a_deadline_that_no_crew_can_keep_names_the_chain() -> None:
    given = project(
        [WORK, {"id": "b", "name": "屋根", "duration": 5, "after": ["a"], "deadline": "2026-04-10"}]
    )
    error = hopeless_deadline(*compiled(given))

    assert error is not None
    assert "屋根 (b) cannot be finished before 2026-04-13" in str(error)
    assert "a → 屋根 (b)" in str(error)


def test_deadlines_that_crews_cannot_keep_are_proved_and_named() -> None:
    given = project(
        [{"id": name, "duration": 3, "needs": {"crew": 1}, "deadline": "2026-04-10"} for name in "xy"],
        resources=[{"id": "crew", "name": "大工", "units": 1}],
    )
    search, _, _ = solved(given)

    assert search.late_for_certain
    reason = str(missed_deadlines(search._table, search.best))
    assert "would be finished on 2026-04-11 instead of 2026-04-10" in reason
    assert "大工" in reason


def test_a_circle_is_named_in_words() -> None:
    given = project(
        [
            {"id": "a", "duration": 1, "after": ["c"]},
            {"id": "b", "duration": 1, "after": ["a"]},
            {"id": "c", "duration": 1, "after": ["b"]},
        ]
    )
    with pytest.raises(WrongProjectError, match="in a circle: a waits for c waits for b waits for a"):
        topological_order(given)


def test_a_long_chain_is_no_circle_and_no_recursion() -> None:
    activities = [{"id": "0", "duration": 1}]
    activities += [{"id": str(k), "duration": 1, "after": [str(k - 1)]} for k in range(1, 3000)]  # type: ignore[dict-item]

    assert topological_order(
        Project.model_validate({"start": "2026-04-06", "activities": activities})
    ) == list(range(3000))


def test_a_calendar_without_working_days_is_refused() -> None:
    with pytest.raises(WrongProjectError, match="no working day"):
        compiled(
            project([WORK], calendars={"default": {"closed": [{"from": "2026-01-01", "to": "2090-01-01"}]}})
        )
