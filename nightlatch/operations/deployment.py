"""One environment within reach: its names, its clients, its clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlatch.installation import Installation
    from nightlatch.operations.clients import Clients

# DescribeExecution refills at 10 requests a second, shared by everything in the account, nested executions
# included (quotas of Step Functions). A watcher every three seconds leaves room for everybody else.
AWS_INTERVAL = 3.0
# The local AWS belongs to one person.
LOCAL_INTERVAL = 0.4


def present() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Deployment:
    """Everything an operation needs to reach one environment.

    Attributes:
        installation: Names and ARNs.
        clients: boto3 clients for its account and region.
        now: The clock.
    """

    installation: Installation
    clients: Clients
    now: Callable[[], datetime] = field(default=present)

    @property
    def interval(self) -> float:
        """Seconds between two looks at a run."""
        return LOCAL_INTERVAL if self.clients.endpoint_url else AWS_INTERVAL
