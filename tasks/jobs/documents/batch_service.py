"""A provider's batch service: requests go in as one file, answers come out hours later, at half the price."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tasks.providers.chat import Usage


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of a batch; `key` comes back with its answer."""

    key: str
    system: str
    user: str
    schema: Mapping[str, Any]
    max_tokens: int
    temperature: float


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """One answer: `text`, or an `error` and whether it is worth sending again."""

    key: str
    text: str
    usage: Usage
    error: str = ""
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class BatchState:
    """How a batch stands. `done`: answers can be collected, perhaps not all; `failed`: there are none."""

    status: Literal["running", "done", "failed"]
    settled: int = 0
    reason: str = ""


class BatchService(Protocol):
    """Submit, poll, collect. All raise ProviderError."""

    @property
    def name(self) -> str:
        """Engine and model, as `Chat.name`."""
        ...

    @property
    def fewest(self) -> int:
        """The least number of requests that the service takes at once."""
        ...

    @property
    def most(self) -> int:
        """The greatest number."""
        ...

    async def submit(self, token: str, requests: Sequence[BatchRequest]) -> str:
        """Hand a batch over, and return its id. A second time with the same `token` it is the same batch."""
        ...

    async def poll(self, batch: str) -> BatchState:
        """How it stands."""
        ...

    def answers(self, batch: str) -> AsyncIterator[BatchAnswer]:
        """The answers of a batch that is done, in any order, perhaps not all, perhaps some twice."""
        ...

    async def cancel(self, batch: str) -> None:
        """Ask the service to stop; what is done stays."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
