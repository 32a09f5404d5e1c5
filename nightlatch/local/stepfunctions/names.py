"""ARNs and names of Step Functions, with AWS's own rules and messages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nightlatch.local.api_error import ApiError

# StartExecution in the API reference: no white space, brackets, wildcards, special or control characters.
_BAD_NAME = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")
_NAME_LENGTH = 80
_MACHINE = re.compile(r"^arn:[\w-]+:states:[\w-]+:\d{12}:stateMachine:([^:/]+)(?::([^:/]+))?$")
# The children of a Distributed Map have the map's label behind the machine's name.
_EXECUTION = re.compile(r"^arn:[\w-]+:states:[\w-]+:\d{12}:execution:([^:/]+(?:/[^:/]+)?):([^:/]+)$")


@dataclass(frozen=True)
class MachineArn:
    """A machine's ARN taken apart.

    Attributes:
        arn: Without the qualifier.
        version: From a version's ARN.
        alias: From an alias's ARN.
    """

    arn: str
    name: str
    version: int | None = None
    alias: str | None = None

    @property
    def qualified(self) -> bool:
        """Whether it names a version or an alias."""
        return self.version is not None or self.alias is not None


def machine_arn(arn: object) -> MachineArn:
    """Take a state machine, version or alias ARN apart.

    Raises:
        ApiError: ``InvalidArn``.
    """
    found = _MACHINE.match(arn) if isinstance(arn, str) else None
    if not found or not isinstance(arn, str):
        raise ApiError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    qualifier = found[2]
    plain = arn if qualifier is None else arn.rpartition(":")[0]
    if qualifier is None:
        return MachineArn(plain, found[1])
    if qualifier.isdecimal():
        return MachineArn(plain, found[1], version=int(qualifier))
    return MachineArn(plain, found[1], alias=qualifier)


def execution_arn(arn: object) -> str:
    """Check an execution's ARN.

    Raises:
        ApiError: ``InvalidArn``.
    """
    if not isinstance(arn, str) or not _EXECUTION.match(arn):
        raise ApiError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    return arn


def execution_of(machine: MachineArn, name: str) -> str:
    """The ARN of a machine's execution."""
    return machine.arn.replace(":stateMachine:", ":execution:", 1) + f":{name}"


def check_name(name: object) -> str:
    """Check the name of a machine or an execution.

    Raises:
        ApiError: ``InvalidName``.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= _NAME_LENGTH or _BAD_NAME.search(name):
        raise ApiError("InvalidName", f"Invalid Name: '{name}'")
    return name


def check_role(arn: object) -> str:
    """Check a role's ARN; nothing here asks whether the role exists.

    Raises:
        ApiError: ``InvalidArn``.
    """
    if not isinstance(arn, str) or not re.match(r"^arn:[\w-]+:iam::\d{12}:role/.+", arn):
        raise ApiError("InvalidArn", f"Invalid Role Arn: '{arn}'")
    return arn
