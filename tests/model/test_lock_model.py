"""The lock keeps its promises in every state of the bounded spaces, and every rule is needed for that."""

import pytest

from tests.model.items import Items, sound_rules
from tests.model.mutants import MUTANTS, Mutant
from tests.model.runs import Runs
from tests.model.scenes import LIVENESS, SMALL, Space
from tests.model.search import reaches, search, stuck_states
from tests.model.world import ALL_PROMISES, Scene


@pytest.mark.parametrize("space", SMALL, ids=lambda space: space.name)
def test_no_promise_is_broken(space: Space) -> None:
    outcome = search(space.world())
    assert outcome.broken is None, outcome.told()
    assert outcome.exhausted
    assert outcome.states > 50


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.rule}: {mutant.name}")
def test_every_rule_is_needed(mutant: Mutant) -> None:
    outcome = search(mutant.world(), at_most=300_000)
    assert outcome.broken is not None, f"nothing breaks although {mutant.name}"
    assert outcome.broken.startswith(f"{mutant.breaks} ")
    assert 1 < outcome.length <= 25
    assert outcome.told().count("\n") == outcome.length


@pytest.mark.parametrize("scene", LIVENESS, ids=lambda scene: ", ".join(scene.faults))
def test_every_state_has_a_way_to_a_free_lock(scene: Scene) -> None:
    world = Runs(scene)
    states, stuck = stuck_states(world, is_goal=world.is_free)
    assert states > 100
    assert stuck is None, f"no way out: {stuck} -- {world.show(stuck)}"


def test_a_second_attempt_works_and_only_because_it_is_re_armed() -> None:
    """Rule 11. Without it nothing is unsafe, but a claimed grant is not claimed again: no retry works."""

    def second_attempt_has_worked(without: frozenset[str]) -> bool:
        world = Runs(Scene(runs=("skip",), without=without, faults={"timeout": 1, "fail": 1}))
        return reaches(world, lambda state: state[1][0].status == "succeeded" and state[7] == 1003)

    assert second_attempt_has_worked(frozenset())
    assert not second_attempt_has_worked(frozenset({"re-arm"}))


def test_a_story_can_be_read() -> None:
    outcome = search(MUTANTS[0].world())
    assert outcome.told().splitlines()[0].split("|")[0].rstrip() == "  1.   run A acquires: done"
    assert "! run A runs task 0, doubled by RunTask as task 1" in outcome.told()
    assert outcome.told().endswith("=> I1 task 0 and task 1 work at the same time")


def test_the_model_uses_the_products_rules() -> None:
    assert sound_rules.__module__ == "tests.model.items"
    assert Scene().rules is sound_rules
    assert Items(sound_rules, ALL_PROMISES)[0] is None
