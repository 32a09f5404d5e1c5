"""Asking a language model one question: the interface, its errors, and the choice of an engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

ErrorKind = Literal["throttled", "timeout", "server", "bad_request", "auth", "content", "unreachable"]

# What may go away by itself. The rest ends the same way however often it is tried.
TEMPORARY: Final[frozenset[ErrorKind]] = frozenset({"throttled", "timeout", "server", "unreachable"})

ENGINES: Final = ("offline", "openai", "bedrock")


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


def chat_from(settings: Mapping[str, str]) -> Chat:
    """The engine that the settings (environment variables, usually) choose.

    - ``LLM_ENGINE``: ``offline`` (the default: extracts, needs no network), ``openai`` or ``bedrock``
    - ``LLM_MODEL``: the model's name, or for Bedrock the id or ARN of a model or inference profile
    - ``LLM_BASE_URL``: of an OpenAI-compatible endpoint, up to and with ``/v1``; for Bedrock an endpoint
      other than the region's
    - ``LLM_API_KEY``: sent as a bearer token by ``openai``; Bedrock takes AWS credentials
      and ``AWS_REGION``
    - ``LLM_TEMPERATURE``: ``default`` for a model that accepts no temperature: none is sent then
    - ``LLM_JSON_SCHEMA``: ``off`` for a model that knows no structured output: the schema is not sent then

    Call it inside a running event loop.

    Raises:
        SettingsError: if they do not make an engine.
    """
    engine = settings.get("LLM_ENGINE", "").strip().lower() or "offline"
    if engine not in ENGINES:
        raise SettingsError(f"LLM_ENGINE={engine!r} is none of {', '.join(ENGINES)}")
    if engine == "offline":
        from tasks.providers.offline_chat import OfflineChat  # noqa: PLC0415  (only the engine in use)

        return OfflineChat()
    model = settings.get("LLM_MODEL", "").strip()
    base_url = settings.get("LLM_BASE_URL", "").strip()
    if not model:
        raise SettingsError(f"LLM_ENGINE={engine} needs LLM_MODEL, the name of the model to ask")
    if base_url and not base_url.startswith(("http://", "https://")):
        raise SettingsError(f"LLM_BASE_URL={base_url!r} must begin with https:// (or http://)")
    dialect = Dialect(
        structured=settings.get("LLM_JSON_SCHEMA", "").strip().lower() != "off",
        temperature=settings.get("LLM_TEMPERATURE", "").strip().lower() != "default",
    )
    if engine == "bedrock":
        from tasks.providers.bedrock_chat import BedrockChat  # noqa: PLC0415  (only the engine in use)

        # ECS sets AWS_REGION, and boto3 reads AWS_DEFAULT_REGION alone.
        region = settings.get("AWS_REGION") or None
        return BedrockChat(model, base_url or None, region=region, dialect=dialect)
    from tasks.providers.openai_chat import OPENAI, OpenAiChat  # noqa: PLC0415  (only the engine in use)

    return OpenAiChat(model, base_url or OPENAI, settings.get("LLM_API_KEY", ""), dialect=dialect)
