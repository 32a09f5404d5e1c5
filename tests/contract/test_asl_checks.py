"""The definitions pass every check, and every check sees what it is for."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from statemachine import check
from statemachine.checks.leaving import LEFT_TO_JANITOR, NOT_HELD
from tests.support.definitions import definition, settings, step

JOB = json.loads(definition("job"))
JANITOR = json.loads(definition("janitor"))
Machine = dict[str, Any]


@pytest.mark.parametrize("name", ["job", "janitor", "watchdog"])
def test_the_definitions_have_no_problem(name: str) -> None:
    assert check(definition(name)) == []


def test_a_job_of_several_steps_has_no_problem() -> None:
    assert check(definition("job", steps=[step("one"), step("two"), step("three")])) == []


def _set(path: str, value: Any) -> Callable[[Machine], None]:
    """Puts a value at a path such as `RunStep.Arguments.Cluster`."""

    def change(states: Machine) -> None:
        *parents, last = path.split(".")
        place: Any = states
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        if value is ...:
            del place[last]
        else:
            place[int(last) if isinstance(place, list) else last] = value

    return change


SETTLE = "Settle.Branches.0.States"

FAULTS: dict[str, tuple[Callable[[Machine], None], str, str]] = {
    # what is planted: (the change, the check that must see it, a part of where)
    "a next state that is not there": (_set("Pause.Next", "Reram"), "asl", "Pause"),
    "a state that nothing leads to": (_set("Lonely", {"Type": "Succeed"}), "asl", "Lonely"),
    "a field that does not exist": (_set("RunStep.TimeoutSecond", 5), "lint", ""),
    "States.ALL before others": (
        _set("Rearm.Catch", list(reversed(JOB["States"]["Rearm"]["Catch"]))),
        "asl",
        "Rearm",
    ),
    "a misspelt resource": (
        _set("RunStep.Resource", "arn:aws:states:::ecs:runTsk.sync"),
        "resource",
        "RunStep",
    ),
    "a resource nobody granted": (
        _set("Notify.Resource", "arn:aws:states:::aws-sdk:sns:publish"),
        "resource",
        "Notify",
    ),
    "an argument that ECS does not know": (_set("RunStep.Arguments.Clustr", "x"), "arguments", "RunStep"),
    "an argument in camel case": (
        _set("RunStep.Arguments.NetworkConfiguration.AwsvpcConfiguration.subnets", ["s"]),
        "arguments",
        "AwsvpcConfiguration",
    ),
    "an argument that runTask.sync is not known to take": (
        _set("RunStep.Arguments.ClientToken", "x"),
        "arguments",
        "RunStep",
    ),
    "a number where a text belongs": (_set("Notify.Arguments.Subject", 5), "arguments", "Notify"),
    "a required argument left out": (_set("Notify.Arguments.Message", ...), "arguments", "Notify"),
    "an unknown key inside an expression": (
        _set(f"{SETTLE}.FindTasks.ItemProcessor.States.ListTasks.Arguments", "{% { 'Clustre': 'x' } %}"),
        "arguments",
        "ListTasks",
    ),
    "a broken expression": (_set("RunStep.Arguments.Group", "{% 'a' & %}"), "expression", "RunStep"),
    "a variable that nobody assigns": (
        _set("RunStep.Arguments.Group", "{% $nobody %}"),
        "variable",
        "RunStep",
    ),
    "a variable used in the state that assigns it": (
        _set("Begin.Assign.copy", "{% $step %}"),
        "variable",
        "Begin",
    ),
    "an inner scope assigning an outer variable": (
        _set(f"{SETTLE}.SettleBegin.Assign.step", 1),
        "asl",
        "SettleBegin",
    ),
    "a failed step that goes straight to the record": (
        _set("RunStep.Catch.0.Next", "Record"),
        "left-held",
        "",
    ),
    "a refused release that ends the run": (_set("Release.Catch.0.Next", "Record"), "left-held", ""),
    "an attempt without a catch": (_set("RunStep.Catch", ...), "left-held", "RunStep"),
    "a task that catches one error only": (
        _set("Advance.Catch.0.ErrorEquals", ["States.Timeout"]),
        "left-held",
        "Advance",
    ),
    "a choice that may fail while the lock is held": (
        _set("Continue.Choices.0.Condition", "{% $number($verdict) = 1 %}"),
        "left-held",
        "Continue",
    ),
    "a wait that may fail while the lock is held": (
        _set("Pause.Seconds", "{% $settings.steps[$step].pause %}"),
        "left-held",
        "Pause",
    ),
}
FAULTS["a variable assigned on one of two ways only"] = (
    lambda states: (
        _set("Decide.Choices.0.Assign", {"sometimes": "x"})(states),
        _set("RunStep.Arguments.Group", "{% $sometimes %}")(states),
    )[0],
    "variable",
    "RunStep",
)


@pytest.mark.parametrize("planted", FAULTS)
def test_a_planted_fault_is_found(planted: str) -> None:
    change, code, where = FAULTS[planted]
    machine = copy.deepcopy(JOB)
    change(machine["States"])
    found = check(json.dumps(machine))
    assert [problem for problem in found if problem.code == code and where in problem.where], found


def test_text_that_is_not_json_is_said_so() -> None:
    (problem,) = check("{")
    assert problem.code == "json"


def test_a_janitor_that_asks_for_an_unknown_member_is_found() -> None:
    machine = copy.deepcopy(JANITOR)
    branch = machine["States"]["CleanLocks"]["ItemProcessor"]["States"]["CleanLock"]["Branches"][0]["States"]
    branch["AskOwner"]["Arguments"]["Include"] = "METADATA_ONLY"
    found = check(json.dumps(machine))
    assert [problem.where for problem in found] == ["CleanLocks/CleanLock/AskOwner/Arguments/Include"]


def test_whatever_is_excused_still_exists_and_has_a_reason() -> None:
    states = JOB["States"]
    assert set(LEFT_TO_JANITOR) <= set(states)
    assert all(source in states and target in states for source, target in NOT_HELD)
    assert all(len(reason) > 20 for reason in (*LEFT_TO_JANITOR.values(), *NOT_HELD.values()))


def test_nothing_relies_on_what_is_not_established() -> None:
    """No ClientToken, StartedBy, Tags or Count in runTask.sync; no native Retry that would double a task."""
    run = JOB["States"]["RunStep"]
    assert not {"ClientToken", "StartedBy", "Tags", "Count"} & set(run["Arguments"])
    assert "Retry" not in run
    assert "ReturnValuesOnConditionCheckFailure" not in json.dumps(JOB)


def test_the_settings_are_the_only_place_for_the_jobs_numbers() -> None:
    assert json.loads(definition("job", run_timeout_seconds=4711))["TimeoutSeconds"] == 4711
    assert settings(run_timeout_seconds=4711)["run_timeout_seconds"] == 4711
