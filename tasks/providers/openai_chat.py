"""Any endpoint that speaks OpenAI's chat completions: OpenAI, vLLM, llama.cpp, Ollama, gateways."""

from typing import Any, Final

from tasks.providers.budget import estimated_tokens
from tasks.providers.chat import Closing, Dialect, ProviderError, Reply, Usage
from tasks.providers.http import open_session, request_json

OPENAI: Final = "https://api.openai.com/v1"
_EVERYTHING: Final = Dialect()


class OpenAiChat(Closing):
    """One model behind one endpoint.

    Whether an endpoint knows ``max_completion_tokens`` (OpenAI since 2024, required by its reasoning models)
    or only ``max_tokens`` (most others) follows from its address.
    """

    def __init__(
        self, model: str, base_url: str = OPENAI, api_key: str = "", *, dialect: Dialect = _EVERYTHING
    ) -> None:
        self._model = model
        self._dialect = dialect
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._limit_name = "max_completion_tokens" if base_url.startswith(OPENAI) else "max_tokens"
        self._session = open_session()

    @property
    def name(self) -> str:
        """Engine and model."""
        return f"openai/{self._model}"

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
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            self._limit_name: max_tokens,
        }
        if self._dialect.temperature:
            body["temperature"] = temperature
        if json_schema is not None and self._dialect.structured:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": json_schema},
            }
        answer = await request_json(
            self._session,
            "POST",
            self._url,
            headers=self._headers,
            body=body,
            deadline_seconds=deadline_seconds,
        )
        text = _text_of(answer)
        usage = _usage_of(answer) or Usage(estimated_tokens(system + user), estimated_tokens(text))
        return Reply(text, usage, str(answer.get("model") or self._model))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _text_of(answer: Any) -> str:
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text, refusal, reason = message.get("content"), message.get("refusal"), choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ProviderError("server", "the answer has no choices[0].message") from None
    if refusal:
        raise ProviderError("content", f"the model refuses: {str(refusal)[:200]}")
    if reason == "content_filter":
        raise ProviderError("content", "the provider's content filter ended the answer")
    if reason == "length":
        raise ProviderError("content", "the answer was cut off at the token limit")
    if not isinstance(text, str) or not text.strip():
        raise ProviderError("server", "the answer is empty")
    return text


def _usage_of(answer: Any) -> Usage | None:
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        return None
    return Usage(*counts)  # type: ignore[arg-type]  # both are numbers by now
