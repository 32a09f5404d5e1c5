"""What the fan-out repeats of a step's one container, it repeats to the letter."""

import json
from typing import Any

import pytest

from tasks.contract import variables
from tests.support.definitions import definition

STATES: dict[str, Any] = json.loads(definition("job"))["States"]
CHILD: dict[str, Any] = STATES["RunShards"]["ItemProcessor"]["States"]
SETTLE: dict[str, Any] = STATES["Settle"]["Branches"][0]["States"]
OF_THE_WHOLE_STEP = (
    " : $e in ['States.ExceedToleratedFailureThreshold', 'States.ItemReaderFailed'] ? 'shards'"
)


def environment(state: dict[str, Any]) -> dict[str, str]:
    (container,) = state["Arguments"]["Overrides"]["ContainerOverrides"]
    return {pair["Name"]: pair["Value"] for pair in container["Environment"]}


def test_a_shard_is_classified_as_a_step_is() -> None:
    whole = SETTLE["Classify"]["Assign"]["class"]
    assert whole.count(OF_THE_WHOLE_STEP) == 1
    expected = whole.replace(OF_THE_WHOLE_STEP, "").replace("$err.", "$fault.").replace("$task.", "$ended.")
    assert CHILD["ClassifyShard"]["Assign"]["shard_class"] == expected


@pytest.mark.parametrize(
    "member", ["Cluster", "LaunchType", "NetworkConfiguration", "PropagateTags"], ids=str
)
def test_a_shard_is_launched_as_a_step_is(member: str) -> None:
    assert CHILD["RunShard"]["Arguments"][member] == STATES["RunStep"]["Arguments"][member]


def test_a_shards_container_is_told_the_whole_contract() -> None:
    told = set(environment(CHILD["RunShard"]))
    assert told == {*variables.SET_BY_STATE_MACHINE, *variables.SET_FOR_A_SHARD} - {
        *variables.SET_AROUND_A_FAN_OUT
    }
    assert set(environment(STATES["RunStep"])) == set(variables.SET_BY_STATE_MACHINE)


def test_the_grant_is_revoked_in_the_very_words_of_re_arming() -> None:
    assert STATES["Revoke"]["Arguments"] == STATES["Rearm"]["Arguments"]
    assert STATES["Revoke"]["Resource"] == STATES["Rearm"]["Resource"]


def test_every_way_out_of_a_fan_out_revokes_the_grant_first() -> None:
    map_state = STATES["RunShards"]
    assert {map_state["Next"], *(catcher["Next"] for catcher in map_state["Catch"])} == {"Revoke"}
    assert "Retry" not in map_state
