"""The documents inside a plan: policies and state machine definitions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Documents:
    """Planned resources by address, as Terraform's plan JSON has them."""

    planned: dict[str, dict[str, Any]]

    def attribute(self, address: str, name: str) -> str:
        return str(self.planned[address][name])

    def permissions(self) -> dict[str, list[dict[str, Any]]]:
        """The statements of every policy that grants something to a role or to people, by address."""
        return {
            address: _statements(values["policy"])
            for address, values in self.planned.items()
            if address.startswith(("aws_iam_role_policy.", "aws_iam_policy."))
        }

    def trusts(self) -> dict[str, list[dict[str, Any]]]:
        """The statements of every role's trust policy, by address."""
        return {
            address: _statements(values["assume_role_policy"])
            for address, values in self.planned.items()
            if address.startswith("aws_iam_role.")
        }

    def resource_policies(self) -> dict[str, list[dict[str, Any]]]:
        """The statements of policies that stand on a queue, topic, bucket or key."""
        kinds = ("aws_sqs_queue_policy.", "aws_sns_topic_policy.", "aws_s3_bucket_policy.", "aws_kms_key.")
        return {
            address: _statements(values["policy"])
            for address, values in self.planned.items()
            if address.startswith(kinds)
        }

    def definitions(self) -> dict[str, str]:
        """The text of every state machine, by job, `janitor` or `watchdog`."""
        kind = "aws_sfn_state_machine."
        machines = {key.removeprefix(kind): it for key, it in self.planned.items() if key.startswith(kind)}
        return {
            key.removeprefix('jobs["').removesuffix('"]'): str(machine["definition"])
            for key, machine in machines.items()
        }


def _statements(policy: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return found


def words(value: Any) -> list[str]:
    """A member that may be one word or a list of them."""
    return [value] if isinstance(value, str) else list(value)
