"""The search and the verifier: against known optima, against brute force, and against each other."""

import itertools
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.jobs.generation.schedule.calendars import DAY
from tasks.jobs.generation.schedule.checkpoint import NAME, SavedSchedule
from tasks.jobs.generation.schedule.plan import make_plan, placed
from tasks.jobs.generation.schedule.project import Project
from tasks.jobs.generation.schedule.search import Limits, Search
from tasks.jobs.generation.schedule.verify import Placed, verify
from tests.support.projects import compiled, job_shop, project, random_members, solved, with_greedy

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["ft06", "la01", "la02", "la06"])
def test_published_job_shops_are_solved_to_their_proved_optimum(name: str) -> None:
    given, optimum = job_shop(name)

    search, dates, greedy = solved(given, 60)

    assert verify(given, dates) == []
    assert search.proved
    assert search.value == (0, optimum)
    assert search.bound <= optimum <= greedy


@pytest.mark.parametrize("seed", range(25))
def test_random_projects_with_every_feature_pass_the_verifier(seed: int) -> None:
    given = Project.model_validate(random_members(seed))

    search, dates, greedy = solved(given, 20)

    assert verify(given, dates) == []
    assert search.proved
    assert search.value[1] <= greedy


def brute_force(given: Project, latest: int) -> int:
    """The shortest makespan in days, by trying every combination of starts with the verifier."""
    best = latest + 1
    for offsets in itertools.product(range(latest), repeat=len(given.activities)):
        finish = max(o + a.duration for o, a in zip(offsets, given.activities, strict=True))
        if finish >= best:
            continue
        schedule = {
            a.id: Placed(given.start + timedelta(days=o), given.start + timedelta(days=o + a.duration - 1))
            for a, o in zip(given.activities, offsets, strict=True)
        }
        if not verify(given, schedule):
            best = finish
    return best


@pytest.mark.parametrize("seed", range(4))
def test_small_projects_agree_with_brute_force(seed: int) -> None:
    members = random_members(seed, size=4)
    for activity in members["activities"]:
        activity |= {"duration": 1 + activity["duration"] % 3, "calendar": "default", "outdoor": False}
        activity.pop("not_before", None)
        for link in activity["after"]:
            link["lag"] = min(link["lag"], 1)
    members |= {"calendars": {"default": {"days_off": [], "holidays": "none"}}}
    given = Project.model_validate(members)

    search, _, _ = solved(given)

    assert search.proved
    assert search.value[1] == brute_force(given, 13)


@pytest.mark.parametrize("seed", range(6))
def test_the_verifier_sees_every_activity_that_moves_into_its_predecessors(seed: int) -> None:
    given = Project.model_validate(random_members(seed))
    table, _, greedy = with_greedy(given)
    dates = placed(table, greedy)

    for name, place in dates.items():
        moved = dict(dates)
        start = given.start - DAY
        moved[name] = replace(place, start=start) if place.start else replace(place, finish=start - DAY)
        assert verify(given, moved)


def test_the_verifier_counts_units_and_days_and_names() -> None:
    given = project(
        [{"id": name, "duration": 2, "needs": {"crew": 1}} for name in "xy"],
        resources=[{"id": "crew", "units": 1}],
    )
    first, second = given.start, given.start + DAY

    assert verify(given, {"x": Placed(first, second), "y": Placed(first, second)}) == [
        "2 of crew are in use on 2026-04-06, and there are 1",
        "2 of crew are in use on 2026-04-07, and there are 1",
    ]
    assert (
        "has 1 working days instead of 2"
        in verify(given, {"x": Placed(first, first), "y": Placed(second, second + DAY)})[0]
    )
    assert verify(given, {"x": Placed(first, second)}) == ["y is not in the schedule"]


def test_a_schedule_in_the_checkpoint_is_never_made_worse(tmp_path: Path) -> None:
    given, _ = job_shop("la21")
    table, builder, best = with_greedy(given)
    saved = SavedSchedule(tmp_path, "digest")
    seen = [builder.value(best)]
    for seed in range(3):
        found: list[tuple[int, int]] = []
        search = Search(
            table,
            builder,
            best,
            lambda starts, found=found: found.append(builder.value(starts)),
            Limits(2, 2, seed),  # type: ignore[misc]
        )
        search.run(lambda: False, lambda _: None)
        assert found == sorted(found, reverse=True)
        saved.write(table, search.best, lateness=0, days=search.value[1], bound=search.bound)
        again, trouble = saved.read(table)
        assert (again, trouble) == (search.best, "")
        best = search.best
        seen.append(search.value)
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < seen[0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text.replace("digest", "other"), "changed"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 9'), "version"),
        (lambda text: text.replace('"b": 3', '"b": 1'), "rules"),
        (lambda text: text.replace('"b": 3', '"b": "3"'), "rules"),
        (lambda text: text.replace('"b": 3', '"b": 1e9'), "rules"),
        (lambda _: "[]", "version"),
    ],
)
def test_a_checkpoint_that_cannot_be_trusted_is_not_used(tmp_path: Path, damage: Any, reason: str) -> None:
    table, _ = compiled(project([{"id": "a", "duration": 3}, {"id": "b", "duration": 1, "after": ["a"]}]))
    saved = SavedSchedule(tmp_path, "digest")
    saved.write(table, [0, 3], lateness=0, days=4, bound=4)
    path = tmp_path / NAME
    path.write_text(damage(path.read_text()))

    starts, trouble = saved.read(table)

    assert starts is None
    assert reason in trouble


def test_slack_is_what_an_activity_can_move_alone() -> None:
    given = project(
        [
            {"id": "long", "duration": 10},
            {"id": "short", "duration": 3, "needs": {"crew": 1}},
            {"id": "next", "duration": 2, "needs": {"crew": 1}, "after": ["short"]},
        ],
        resources=[{"id": "crew", "units": 1}],
    )
    table, _ = compiled(given)

    plan = make_plan(table, [0, 0, 4], digest="", bound=10, greedy=10, ended_by="proof")

    assert [line.slack for line in plan.lines] == [0, 1, 4]
    assert plan.optimal
