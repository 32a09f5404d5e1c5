"""Asking a language model one question: the interface and its errors."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

ErrorKind = Literal["throttled", "timeout", "server", "bad_request", "auth", "content", "unreachable"]

# What may go away by itself. The rest ends the same way however often it is tried.
TEMPORARY: Final[frozenset[ErrorKind]] = frozenset({"throttled", "timeout", "server", "unreachable"})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one answer cost, as the provider counts them (or as estimated, if it does not say)."""

    input_tokens: int
    output_tokens: int

    @property
    def total(self) -> int:
        """Both together: what token limits count."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its whole text, what it cost, and which model gave it."""

    text: str
    usage: Usage
    model: str


class ProviderError(Exception):
    """A try that gave no answer.

    `kind` says whose fault it was:

    - ``throttled``: asked too often; `retry_after` is how many seconds to wait, if the provider said so
    - ``timeout``: no whole answer within the time allowed
    - ``server``: the provider failed, or answered with something that is no answer
    - ``unreachable``: no connection, or one that broke
    - ``bad_request``: the request itself is wrong (no such model, too long, wrong parameter)
    - ``auth``: not allowed
    - ``content``: the provider refuses to answer this, or cut the answer off
    """

    def __init__(self, kind: ErrorKind, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.retry_after = retry_after

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in TEMPORARY


class SettingsError(ValueError):
    """The settings name no usable engine; the text says which setting and why."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a model understands: a schema for its answer (`structured`), a `temperature`."""

    structured: bool = True
    temperature: bool = True


class Chat(Protocol):
    """A language model that can be asked, any number of times at once, from one event loop."""

    @property
    def name(self) -> str:
        """Engine and model, such as ``openai/gpt-5-mini``: part of what identifies a result."""

    async def complete(
        self,
        *,
        system: str,
        user: str,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: dict[str, Any] | None = None,
        deadline_seconds: float,
    ) -> Reply:
        """Ask once. With `json_schema` (an object schema) the answer should be JSON of that form.

        No engine guarantees that: the caller checks. The whole try, connecting and reading included, ends
        after `deadline_seconds`. Cancelling gives up at once.

        Raises:
            ProviderError: if there is no answer.
        """

    async def close(self) -> None:
        """Give back connections. Nothing is asked afterwards."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing:
    """``async with`` for everything that has a ``close``."""

    async def close(self) -> None:
        """Give back what is held; nothing, unless a subclass holds something."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
