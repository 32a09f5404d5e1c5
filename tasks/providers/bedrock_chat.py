"""Amazon Bedrock's Converse API by boto3, one thread for each question that is on its way."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from tasks.providers.chat import Closing, Dialect, ErrorKind, ProviderError, Reply, SettingsError, Usage
from tasks.providers.http import retry_after

if TYPE_CHECKING:
    from types_boto3_bedrock_runtime.client import BedrockRuntimeClient

# The errors of Converse as its API reference lists them, and the signature errors every API has.
_KINDS: Final[dict[str, ErrorKind]] = {
    "ThrottlingException": "throttled",
    "ServiceQuotaExceededException": "throttled",
    "ModelNotReadyException": "throttled",
    "ModelTimeoutException": "timeout",
    "InternalServerException": "server",
    "ServiceUnavailableException": "server",
    "ModelErrorException": "server",
    "ValidationException": "bad_request",
    "ResourceNotFoundException": "bad_request",
    "AccessDeniedException": "auth",
    "UnrecognizedClientException": "auth",
    "ExpiredTokenException": "auth",
    "InvalidSignatureException": "auth",
}
_CUT_OFF: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
_REFUSED: Final = frozenset({"guardrail_intervened", "content_filtered"})
# A read that lasts longer belongs to a try that was given up; its thread ends then.
_LONGEST_READ: Final = 900
_CONNECTIONS: Final = 512
_EVERYTHING: Final = Dialect()


class BedrockChat(Closing):
    """One model (id, inference profile, or ARN of either) in `region`, or in the one that boto3 finds."""

    def __init__(
        self,
        model: str,
        endpoint: str | None = None,
        *,
        region: str | None = None,
        dialect: Dialect = _EVERYTHING,
    ) -> None:
        self._model = model
        self._dialect = dialect
        # One try is one request: whoever asks decides about another.
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=10,
            read_timeout=_LONGEST_READ,
            max_pool_connections=_CONNECTIONS,
        )
        try:
            self._client: BedrockRuntimeClient = boto3.client(
                "bedrock-runtime", region_name=region, endpoint_url=endpoint, config=config
            )
        except NoRegionError:
            raise SettingsError(
                "LLM_ENGINE=bedrock needs a region: set AWS_REGION or AWS_DEFAULT_REGION"
            ) from None

    @property
    def name(self) -> str:
        """Engine and model."""
        return f"bedrock/{self._model}"

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
        """Ask once; see `Chat`."""
        request: dict[str, Any] = {
            "modelId": self._model,
            "messages": [{"role": "user", "content": [{"text": user}]}],
            "inferenceConfig": {"maxTokens": max_tokens},
        }
        if self._dialect.temperature:
            request["inferenceConfig"]["temperature"] = temperature
        if system:
            request["system"] = [{"text": system}]
        if json_schema is not None and self._dialect.structured:
            form = {"jsonSchema": {"schema": json.dumps(json_schema), "name": "answer"}}
            request["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": form}}
        try:
            async with asyncio.timeout(deadline_seconds):
                answer = await _in_thread(lambda: self._client.converse(**request))
        except TimeoutError:
            raise ProviderError("timeout", f"no whole answer within {deadline_seconds:g} s") from None
        except ClientError as error:
            raise _refusal(error) from None
        except BotoCoreError as error:
            raise ProviderError(_kind_of(error), str(error)) from None
        return _reply(answer, self._model)

    async def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _kind_of(error: BotoCoreError) -> ErrorKind:
    """What it means that no answer of the API came at all."""
    if isinstance(error, (ReadTimeoutError, ConnectTimeoutError)):
        return "timeout"
    if isinstance(error, (EndpointConnectionError, HTTPClientError)):
        return "unreachable"
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return "auth"
    return "bad_request" if isinstance(error, ParamValidationError) else "server"


def _refusal(error: ClientError) -> ProviderError:
    details = error.response.get("Error", {})
    about = error.response.get("ResponseMetadata", {})
    code, status = details.get("Code", ""), int(about.get("HTTPStatusCode", 0))
    fallback: ErrorKind = "throttled" if status == 429 else "server" if status >= 500 else "bad_request"  # noqa: PLR2004  (HTTP)
    message = f"{code}: {details.get('Message', '')}"[:300]
    return ProviderError(_KINDS.get(code, fallback), message, retry_after(about.get("HTTPHeaders", {})))


def _reply(answer: Any, model: str) -> Reply:
    reason = answer.get("stopReason", "")
    if reason in _REFUSED:
        raise ProviderError("content", f"Bedrock ended the answer: {reason}")
    if reason in _CUT_OFF:
        raise ProviderError("content", f"the answer was cut off: {reason}")
    content = answer.get("output", {}).get("message", {}).get("content", [])
    text = "".join(block.get("text", "") for block in content)
    if not text.strip():
        raise ProviderError("server", "the answer is empty")
    usage = answer.get("usage", {})
    return Reply(text, Usage(int(usage.get("inputTokens", 0)), int(usage.get("outputTokens", 0))), model)


async def _in_thread(call: Callable[[], Any]) -> Any:
    """The result of a blocking `call`, in a thread that nobody waits for when we are cancelled.

    The threads of an executor are joined when the process ends: a model that thinks for two minutes would
    keep the job from ending after SIGTERM.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, trouble = None, None
        try:
            result = call()
        except Exception as error:  # noqa: BLE001  (handed to the one who waits)
            trouble = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, trouble)

    threading.Thread(target=run, name="bedrock", daemon=True).start()
    return await future
