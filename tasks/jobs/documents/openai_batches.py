"""OpenAI's batch API, and those that are made like it: files, batches, an output file and an error file.

A request is a line with a custom_id; answers come in any order, failed ones in a second file. A batch is
found again by its metadata: the API has no token that would make submitting twice harmless.
"""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import aiohttp

from tasks.jobs.documents.batch_service import BatchAnswer, BatchRequest, BatchState
from tasks.providers.chat import ProviderError, Usage
from tasks.providers.http import open_session, request_json

_SECONDS: Final = 60.0
# Limits of a batch at OpenAI: 50,000 requests in a file of 200 MB.
_MOST: Final = 20_000
_DONE: Final = {"completed", "expired", "cancelled"}
_FAILED: Final = {"failed"}
_MARK: Final = "nightlatch"
_PAGES: Final = 10
_CHUNK: Final = 1 << 16
_OWN_FAULTS: Final = range(400, 500)
_TRY_AGAIN: Final = {408, 409, 429}


class OpenAiBatches:
    """One model behind one endpoint."""

    fewest = 1
    most = _MOST

    def __init__(self, model: str, base_url: str, api_key: str = "") -> None:
        self._model = model
        self._base = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session = open_session()

    @property
    def name(self) -> str:
        """See BatchService."""
        return f"openai/{self._model}"

    async def submit(self, token: str, requests: Sequence[BatchRequest]) -> str:
        """See BatchService."""
        known = await self._find(token)
        if known:
            return known
        body = b"".join(json.dumps(self._line(one)).encode() + b"\n" for one in requests)
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", body, filename="requests.jsonl", content_type="application/jsonl")
        file = await self._upload(form)
        told = await self._json(
            "POST",
            "/batches",
            {
                "input_file_id": file,
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
                "metadata": {_MARK: token},
            },
        )
        return str(told["id"])

    async def poll(self, batch: str) -> BatchState:
        """See BatchService."""
        told = await self._json("GET", f"/batches/{batch}")
        status, counts = told.get("status"), told.get("request_counts") or {}
        settled = int(counts.get("completed", 0)) + int(counts.get("failed", 0))
        if status in _DONE:
            return BatchState("done", settled)
        if status in _FAILED:
            errors = (told.get("errors") or {}).get("data") or []
            return BatchState("failed", settled, "; ".join(str(one.get("message")) for one in errors[:3]))
        return BatchState("running", settled)

    async def answers(self, batch: str) -> AsyncIterator[BatchAnswer]:
        """See BatchService."""
        told = await self._json("GET", f"/batches/{batch}")
        for member in ("output_file_id", "error_file_id"):
            if told.get(member):
                async for line in self._lines(f"/files/{told[member]}/content"):
                    answer = _answer(line)
                    if answer is not None:
                        yield answer

    async def cancel(self, batch: str) -> None:
        """See BatchService."""
        await self._json("POST", f"/batches/{batch}/cancel")

    async def close(self) -> None:
        """See BatchService."""
        await self._session.close()

    def _line(self, one: BatchRequest) -> dict[str, Any]:
        return {
            "custom_id": one.key,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": self._model,
                "messages": [
                    {"role": "system", "content": one.system},
                    {"role": "user", "content": one.user},
                ],
                "max_completion_tokens": one.max_tokens,
                "temperature": one.temperature,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": dict(one.schema)},
                },
            },
        }

    async def _find(self, token: str) -> str:
        """The batch that was submitted with `token` before, or ""."""
        after: dict[str, str] = {"limit": "100"}
        for _ in range(_PAGES):
            told = await self._json("GET", "/batches", parameters=after)
            found = told.get("data") or []
            for one in found:
                if (one.get("metadata") or {}).get(_MARK) == token and one.get("status") not in _FAILED:
                    return str(one["id"])
            if not found or not told.get("has_more"):
                break
            after["after"] = str(found[-1]["id"])
        return ""

    async def _upload(self, form: aiohttp.FormData) -> str:
        try:
            async with self._session.post(
                f"{self._base}/files",
                data=form,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=_SECONDS * 10),
            ) as reply:
                text = await reply.text()
                if reply.status not in range(200, 300):
                    raise ProviderError(_kind(reply.status), f"the upload was refused: HTTP {reply.status}")
                return str(json.loads(text)["id"])
        except (ValueError, KeyError, TypeError):
            raise ProviderError("server", "the answer to the upload has no id") from None
        except TimeoutError:
            raise ProviderError("timeout", "the upload did not end in time") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ProviderError("unreachable", f"the upload failed: {error}") from None

    async def _json(
        self, method: str, path: str, body: Any = None, parameters: dict[str, str] | None = None
    ) -> dict[str, Any]:
        told = await request_json(
            self._session,
            method,
            self._base + path,
            headers=self._headers,
            body=body,
            parameters=parameters,
            deadline_seconds=_SECONDS,
        )
        if not isinstance(told, dict):
            raise ProviderError("server", f"the answer of {path} is no object")
        return told

    async def _lines(self, path: str) -> AsyncIterator[bytes]:
        try:
            async with self._session.get(
                self._base + path, headers=self._headers, timeout=aiohttp.ClientTimeout(sock_read=_SECONDS)
            ) as reply:
                if reply.status not in range(200, 300):
                    raise ProviderError(_kind(reply.status), f"{path}: HTTP {reply.status}")
                held = b""
                async for chunk in reply.content.iter_chunked(_CHUNK):
                    *lines, held = (held + chunk).split(b"\n")
                    for line in lines:
                        yield line
                yield held
        except TimeoutError:
            raise ProviderError("timeout", f"{path} did not arrive in time") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ProviderError("unreachable", f"{path}: {error}") from None


def _kind(status: int) -> Any:
    if status in {401, 403}:
        return "auth"
    if status in _TRY_AGAIN:
        return "throttled"
    return "bad_request" if status in _OWN_FAULTS else "server"


def _answer(line: bytes) -> BatchAnswer | None:
    """The answer of a line; None for one that says nothing about any request."""
    try:
        told = json.loads(line)
        key = str(told["custom_id"])
    except (ValueError, KeyError, TypeError):
        return None
    reply = told.get("response") or {}
    body = reply.get("body") or {}
    used = body.get("usage") or {}
    usage = Usage(int(used.get("prompt_tokens") or 0), int(used.get("completion_tokens") or 0))
    status = reply.get("status_code")
    error = told.get("error") or (body.get("error") if status != 200 else None)  # noqa: PLR2004  (HTTP)
    if error or status != 200:  # noqa: PLR2004  (HTTP)
        said = error.get("message") if isinstance(error, dict) else error
        lasting = isinstance(status, int) and status in _OWN_FAULTS and status not in _TRY_AGAIN
        return BatchAnswer(key, "", usage, str(said or f"HTTP {status}")[:300], temporary=not lasting)
    try:
        message = body["choices"][0]["message"]
    except (KeyError, IndexError, TypeError):
        return BatchAnswer(key, "", usage, "the answer has no message", temporary=True)
    if message.get("refusal") or not message.get("content"):
        return BatchAnswer(key, "", usage, f"the model refuses: {message.get('refusal')}"[:300])
    return BatchAnswer(key, str(message["content"]), usage)
