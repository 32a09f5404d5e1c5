"""What one container was told to do, read from its environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.contract import variables

# Fargate's default stopTimeout.
DEFAULT_STOP_GRACE = 30.0


class AssignmentError(ValueError):
    """The environment does not follow the contract; the text says which variable and why."""


@dataclass(frozen=True, slots=True)
class Claimable:
    """What a container needs to claim its grant: table, key, owner (execution ARN) and the grant."""

    table: str
    key: str
    owner: str
    grant: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """The work of one attempt. `claimable` is None outside an installation (run by hand).

    `deadline` is in epoch seconds, `stop_grace` in seconds; `checkpoint` and `output` are
    ``s3://bucket/prefix/`` or ``file:///directory/`` locations, "" if there is none.

    Of a fan-out: `shard` is the item as JSON and `shard_index` its place in the list; `verify` says that the
    grant is shared and must be verified, not claimed. `shard_list` is where a planning step's list goes,
    `collect` and `collect_list` where a collecting step finds the shards' outputs and the list.
    """

    job: str = ""
    run: str = ""
    step: str = ""
    attempt: int = 1
    run_key: str = ""
    scheduled_time: str = ""
    claimable: Claimable | None = None
    deadline: float | None = None
    stop_grace: float = DEFAULT_STOP_GRACE
    checkpoint: str = ""
    output: str = ""
    shard: str = ""
    shard_index: int | None = None
    verify: bool = False
    shard_list: str = ""
    collect: str = ""
    collect_list: str = ""
    params: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Assignment":
        """Read the contract's variables.

        Raises:
            AssignmentError: if a variable does not have the form the contract says.
        """

        def text(name: str) -> str:
            return environment.get(name, "")

        deadline = _number(environment, variables.DEADLINE)
        grace = _number(environment, variables.STOP_GRACE)
        index = _number(environment, variables.SHARD_INDEX)
        return cls(
            job=text(variables.JOB),
            run=text(variables.RUN),
            step=text(variables.STEP),
            attempt=int(_number(environment, variables.ATTEMPT) or 1),
            run_key=text(variables.RUN_KEY),
            scheduled_time=text(variables.SCHEDULED_TIME),
            claimable=_claimable(environment),
            deadline=None if deadline is None else deadline / 1000,
            stop_grace=DEFAULT_STOP_GRACE if grace is None else grace,
            checkpoint=text(variables.CHECKPOINT),
            output=text(variables.OUTPUT),
            shard=text(variables.SHARD),
            shard_index=None if index is None else int(index),
            verify=_verify(text(variables.CLAIM)),
            shard_list=text(variables.SHARD_LIST),
            collect=text(variables.COLLECT),
            collect_list=text(variables.COLLECT_LIST),
            params=_params(text(variables.PARAMS)),
        )


def _claimable(environment: Mapping[str, str]) -> Claimable | None:
    names = (variables.LOCK_TABLE, variables.LOCK_KEY, variables.OWNER, variables.GRANT)
    values = [environment.get(name, "") for name in names]
    if not any(values):
        return None
    missing = [name for name, value in zip(names, values, strict=True) if not value]
    if missing:
        raise AssignmentError(
            f"{', '.join(missing)} not set, although other lock variables are: "
            "the container overrides of this task are incomplete"
        )
    return Claimable(*values)


def _verify(text: str) -> bool:
    if text not in {"", "verify"}:
        raise AssignmentError(f'{variables.CLAIM}={text!r} must be empty or "verify"')
    return text == "verify"


def _number(environment: Mapping[str, str], name: str) -> float | None:
    text = environment.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise AssignmentError(f"{name}={text!r} is not a number of zero or more")
    return value


def _params(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        members = json.loads(text)
    except ValueError as error:
        raise AssignmentError(f"{variables.PARAMS} is not JSON: {error}") from None
    if not isinstance(members, dict) or not all(isinstance(value, str) for value in members.values()):
        raise AssignmentError(f"{variables.PARAMS} must be a JSON object whose values are strings")
    return members
