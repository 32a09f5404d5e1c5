"""The population of schedules: what it finds is right, better every time, and the same for the same seed."""

import random
from collections.abc import Callable

import pytest

from tasks.jobs.generation.schedule.breeding import Population
from tasks.jobs.generation.schedule.construct import Builder, Starts
from tasks.jobs.generation.schedule.plan import placed
from tasks.jobs.generation.schedule.project import Project
from tasks.jobs.generation.schedule.verify import verify
from tests.support.projects import job_shop, project, random_members, with_greedy


def after(children: int) -> Callable[[], bool]:
    """For `enough`: True when it has been asked so often."""
    left = iter(range(children))
    return lambda: next(left, None) is None


def bred(builder: Builder, first: Starts, children: int, seed: int = 1) -> list[Starts]:
    """Every better schedule, in the order in which it was found."""
    found: list[Starts] = []
    population = Population(builder, first, random.Random(seed))
    population.breed(enough=after(children), found=found.append)
    assert population.best[0] == min([builder.value(starts) for starts in (first, *found)])
    return found


@pytest.mark.parametrize("name", ["ft06", "la01", "la06"])
def test_it_comes_to_the_proved_optimum_of_published_job_shops(name: str) -> None:
    given, optimum = job_shop(name)
    table, builder, greedy = with_greedy(given)

    found = bred(builder, greedy, 1500)

    values = [builder.value(starts)[1] for starts in found]
    assert values == sorted(set(values), reverse=True)
    assert values[-1] == optimum < builder.value(greedy)[1]
    assert not [wrong for starts in found for wrong in verify(given, placed(table, starts))]


def test_crossing_finds_what_shaking_the_rule_of_thumb_does_not() -> None:
    given, _ = job_shop("la16")
    _, builder, greedy = with_greedy(given)
    founders = bred(builder, greedy, 39)

    for seed in range(2):
        assert builder.value(bred(builder, greedy, 300, seed)[-1])[1] < 0.975 * builder.value(founders[-1])[1]


def test_a_population_that_gets_nowhere_begins_again_with_its_best() -> None:
    given = project([{"id": "a", "duration": 3}, {"id": "b", "duration": 1, "after": ["a"]}])
    _, builder, greedy = with_greedy(given)
    shaken = 0

    class Chance(random.Random):
        def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
            nonlocal shaken
            shaken += 1
            return super().gauss(mu, sigma)

    population = Population(builder, greedy, Chance(1))

    population.breed(enough=after(39), found=lambda _: None)
    founders = shaken
    population.breed(enough=after(50), found=lambda _: None)
    assert shaken == founders  # so soon it does not give up crossing
    population.breed(enough=after(50), found=lambda _: None)

    assert shaken == 2 * founders
    assert population.best == (builder.value(greedy), greedy)


@pytest.mark.parametrize("seed", range(12))
def test_calendars_lags_and_gaps_are_kept(seed: int) -> None:
    given = Project.model_validate(random_members(seed, 12))
    table, builder, greedy = with_greedy(given)

    for starts in bred(builder, greedy, 120):
        assert verify(given, placed(table, starts)) == []


def test_the_same_seed_finds_the_same_and_a_good_schedule_is_never_lost() -> None:
    given, _ = job_shop("la02")
    _, builder, greedy = with_greedy(given)

    once = bred(builder, greedy, 300)

    assert bred(builder, greedy, 300) == once
    assert bred(builder, greedy, 0) == []
    good = once[-1]
    for starts in bred(builder, good, 300, seed=2):
        assert builder.value(starts) < builder.value(good)
