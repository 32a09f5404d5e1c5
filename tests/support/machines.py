"""State machines for tests of a Step Functions endpoint."""

from __future__ import annotations

import json
import time
from typing import Any

ROLE = "arn:aws:iam::000000000000:role/states"


def definition(start_at: str, /, **states: dict[str, Any]) -> str:
    """A JSONata definition from its states."""
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": start_at, "States": states})


def one_state(state: dict[str, Any]) -> str:
    """A definition of a single state."""
    return definition("Only", Only=state)


def task(resource: str, arguments: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A Task state that ends the execution."""
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Arguments": arguments,
        **({} if "Next" in fields else {"End": True}),
        **fields,
    }


WAIT = one_state({"Type": "Wait", "Seconds": 600, "End": True})
PASS = one_state({"Type": "Pass", "Output": {"done": True}, "End": True})


def create(states: Any, name: str, text: str) -> str:
    """Create a machine and return its ARN."""
    arn: str = states.create_state_machine(name=name, definition=text, roleArn=ROLE)["stateMachineArn"]
    return arn


def ended(states: Any, execution: str, *, seconds: float = 20) -> dict[str, Any]:
    """Wait until an execution has ended and describe it."""
    give_up = time.monotonic() + seconds
    while True:
        described: dict[str, Any] = states.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
        if time.monotonic() > give_up:
            raise AssertionError(f"{execution} is still running after {seconds} s")
        time.sleep(0.01)
