"""One HTTP request over aiohttp, with the errors of `ProviderError`."""

import asyncio
import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp

from tasks.providers.chat import ErrorKind, ProviderError

# Anything longer is no answer of a model or a search engine, and would fill the memory.
_LARGEST: Final = 16 * 1024 * 1024
_CHUNK: Final = 1 << 16
_SHOWN: Final = 300

_THROTTLED: Final = frozenset({429, 529})
_OWN_FAULT: Final = 400
_SERVER_FAULT: Final = 500


def open_session() -> aiohttp.ClientSession:
    """A session without a limit on connections of its own: how many ask at once is the caller's choice."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=True,
    )


async def request_json(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    deadline_seconds: float,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    parameters: Mapping[str, str] | None = None,
) -> Any:
    """Send one request and return the JSON of a 2xx answer.

    `deadline_seconds` bounds everything, a body that drips in byte by byte included.

    Raises:
        ProviderError: for every other end.
    """
    try:
        async with (
            asyncio.timeout(deadline_seconds),
            session.request(
                method, url, json=body, params=parameters, headers=headers, allow_redirects=False
            ) as response,
        ):
            text = await _read(response)
            if 200 <= response.status < 300:  # noqa: PLR2004  (the class of success)
                return _parsed(text)
            raise _refusal(response.status, response.headers, text)
    except TimeoutError:
        raise ProviderError("timeout", f"no whole answer within {deadline_seconds:g} s") from None
    except aiohttp.InvalidURL as error:
        raise ProviderError("bad_request", f"{error} is no address") from None
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
        raise ProviderError("unreachable", f"the connection failed: {_brief(str(error))}") from None
    except aiohttp.ClientError as error:
        raise ProviderError(
            "server", f"the answer is not HTTP as it should be: {_brief(str(error))}"
        ) from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > _LARGEST:
            raise ProviderError("server", f"the answer is larger than {_LARGEST // 2**20} MB")
    return b"".join(parts)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ProviderError(
            "server", f"the answer is not JSON: {_brief(text.decode(errors='replace'))}"
        ) from None


def _refusal(status: int, headers: Mapping[str, str], text: bytes) -> ProviderError:
    said = _brief(_message_of(text))
    message = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    return ProviderError(_kind_of(status), message, retry_after(headers))


def _kind_of(status: int) -> ErrorKind:
    if status in _THROTTLED:
        return "throttled"
    if status in {401, 403}:
        return "auth"
    if status in {408, 504}:
        return "timeout"
    if status >= _SERVER_FAULT:
        return "server"
    if status >= _OWN_FAULT and status not in {409, 425}:
        return "bad_request"
    # Also redirects: an API that sends elsewhere (a login page, a proxy) has not answered.
    return "server"


def _message_of(text: bytes) -> str:
    """The words of an error body: OpenAI's ``error.message``, others' ``message`` or ``detail``."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return text.decode(errors="replace")
    error = members.get("error", members) if isinstance(members, dict) else members
    if isinstance(error, dict):
        return str(error.get("message") or error.get("detail") or error)
    return str(error)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait as ``Retry-After`` says (seconds or a date, RFC 9110 10.2.3), or None.

    ``retry-after-ms``, which OpenAI and Azure send as well, is finer and goes first.
    """
    folded = {name.lower(): value for name, value in headers.items()}
    finer = _number(folded.get("retry-after-ms"))
    if finer is not None:
        return finer / 1000
    value = folded.get("retry-after")
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
