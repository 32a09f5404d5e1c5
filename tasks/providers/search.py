"""Searching: the interface."""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Found:
    """One result: title, address (path or URL), the text that matched, how well (more is better)."""

    title: str
    address: str
    text: str
    score: float


class Search(Protocol):
    """Something that finds texts, any number of times at once, from one event loop."""

    @property
    def name(self) -> str:
        """Engine and what it searches."""

    async def find(self, query: str, *, limit: int, deadline_seconds: float) -> list[Found]:
        """At most `limit` results, best first; none is no error. One try, over after `deadline_seconds`.

        Raises:
            tasks.providers.chat.ProviderError: if there is no answer.
        """

    async def close(self) -> None:
        """Give back what is held. Nothing is asked afterwards."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
