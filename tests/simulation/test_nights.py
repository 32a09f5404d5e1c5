"""A few hundred random nights; ten thousand are `make nights`."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation import nights
from tests.simulation.world.night import NightFailedError, play
from tests.simulation.world.simulation import Definitions

CHUNK = 10

States = dict[str, Any]


@pytest.mark.slow
@pytest.mark.timeout(600)  # a night takes half a second, on a busy machine several
@pytest.mark.parametrize("first", range(0, 200, CHUNK))
def test_every_promise_holds_in_the_morning(first: int) -> None:
    worked = 0
    for number in range(first, first + CHUNK):
        worked += play(f"tests/{number}").figures["containers that worked"]
    assert worked > 0


@pytest.mark.slow
def test_a_name_replays_its_night_exactly() -> None:
    assert play("tests/1").timeline == play("tests/1").timeline
    assert play("tests/1").timeline != play("tests/2").timeline


def _settle(states: States) -> States:
    found: States = states["Settle"]["Branches"][0]["States"]
    return found


def _clean_lock(states: States) -> States:
    found: States = states["CleanLocks"]["ItemProcessor"]["States"]["CleanLock"]["Branches"][0]["States"]
    return found


def _without_drain(states: States) -> None:
    states["AllStopped"]["Choices"].pop(0)
    del states["StopTasks"], states["AwaitStop"]


def _the_run_does_not_drain(name: str, states: States) -> None:
    if name == "job":
        _without_drain(_settle(states))


def _the_run_does_not_wait_for_stopped(name: str, states: States) -> None:
    if name == "job":
        _settle(states)["StopTasks"]["Next"] = "Classify"
        del _settle(states)["AwaitStop"]


def _the_janitor_does_not_drain(name: str, states: States) -> None:
    if name == "janitor":
        _without_drain(_clean_lock(states))


def _a_refused_release_ends_the_run(name: str, states: States) -> None:
    if name == "job":
        states["Release"]["Catch"][0]["Next"] = "Record"


def _nobody_records_for_the_dead(name: str, states: States) -> None:
    if name == "janitor":
        branch = states["RecordRuns"]["ItemProcessor"]["States"]["RecordRun"]["Branches"][0]["States"]
        branch["Ended"]["Choices"] = branch["Ended"]["Choices"][:1]
        for gone in ("PutRecord", "WorthTelling", "Notify", "DescribeLater"):
            del branch[gone]


def _the_watchdog_is_content_with_any_run(name: str, states: States) -> None:
    if name == "watchdog":
        states["EndedWell"]["Choices"][0]["Condition"] = "{% $count($runs) > 0 %}"


def _many_nights(definitions: Definitions) -> None:
    for number in range(100):  # ends at the first that breaks, mostly among the first ten
        play(f"broken/{number}", definitions)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "broken",
    [
        _the_run_does_not_drain,
        _the_run_does_not_wait_for_stopped,
        _the_janitor_does_not_drain,
        _a_refused_release_ends_the_run,
        _nobody_records_for_the_dead,
        _the_watchdog_is_content_with_any_run,
    ],
    ids=lambda broken: broken.__name__.strip("_"),
)
def test_a_broken_definition_does_not_survive_the_nights(broken: Callable[[str, States], None]) -> None:
    with pytest.raises(NightFailedError) as told:
        _many_nights(Definitions(broken))
    story = str(told.value)
    assert "replay: python -m tests.simulation.nights --replay broken/" in story
    assert "WORLD" in story, "the timeline is part of the message"


def test_the_command_plays_and_replays(capsys: pytest.CaptureFixture[str]) -> None:
    assert nights.main(["--count", "2", "--seed", "command", "--processes", "1"]) == 0
    told = capsys.readouterr().out
    assert "2 nights in" in told
    assert "0 broke a promise" in told
    assert nights.main(["--replay", "command/0"]) == 0
    assert "morning: no more faults" in capsys.readouterr().out
