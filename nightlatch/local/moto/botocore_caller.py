from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nightlatch.local.api_error import ApiError
from nightlatch.local.http.message import HttpRequest

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.client import BaseClient
    from botocore.session import Session

    from nightlatch.local.moto.engine import MotoEngine


class _RawBody(io.BytesIO):
    """Enough of urllib3's response for botocore."""

    def stream(self, **_: object) -> Any:
        yield self.read()


class BotocoreCaller:
    """Calls moto through botocore's serialisers, without a socket. One caller at a time, in a worker."""

    def __init__(self, engine: MotoEngine, region: str, host: str) -> None:
        self._engine = engine
        self._region = region
        self._host = host
        self._session: Session | None = None
        self._clients: dict[str, BaseClient] = {}
        self._wrote = False

    def call(self, service: str, operation: str, params: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Call one operation.

        Returns:
            The reply, and whether it acknowledges a write.

        Raises:
            ApiError: moto refused.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - loaded with moto

        client = self._client(service)
        self._wrote = False
        try:
            # The public methods are this one with a snake_case name.
            reply = client._make_api_call(operation, params)  # type: ignore[attr-defined]  # noqa: SLF001 - see above
        except ClientError as error:
            told = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise ApiError(told.get("Code", "Unknown"), told.get("Message", ""), status) from error
        except (BotoCoreError, KeyError, AttributeError, TypeError, ValueError) as error:
            raise ApiError("ValidationException", str(error)) from error
        reply.pop("ResponseMetadata", None)
        return {name: _plain(value) for name, value in reply.items()}, self._wrote

    def _client(self, service: str) -> BaseClient:
        client = self._clients.get(service)
        if client is not None:
            return client
        from botocore import UNSIGNED  # noqa: PLC0415 - loaded with moto
        from botocore.config import Config  # noqa: PLC0415 - loaded with moto
        from botocore.session import Session  # noqa: PLC0415 - loaded with moto

        if self._session is None:
            self._session = Session()
            self._session.get_component("response_parser_factory").set_parser_defaults(
                timestamp_parser=_epoch
            )
        client = self._session.create_client(
            service,
            region_name=self._region,
            endpoint_url="http://127.0.0.1",
            config=Config(
                retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version=UNSIGNED
            ),
        )
        signing_name = client.meta.service_model.signing_name
        # Nobody checks a signature here; its scope is what tells moto the service and the region.
        scope = f"AWS4-HMAC-SHA256 Credential=local/20260101/{self._region}/{signing_name}/aws4_request"
        client.meta.events.register("before-send", partial(self._send, scope))  # type: ignore[arg-type]
        self._clients[service] = client
        return client

    def _send(self, scope: str, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        from botocore.awsrequest import AWSResponse  # noqa: PLC0415 - loaded with moto

        url = urlsplit(request.url)
        headers = tuple((name.lower(), _text(value)) for name, value in request.headers.items())
        body = _bytes(request.body)
        target = url.path + (f"?{url.query}" if url.query else "")
        reply, self._wrote = self._engine.respond(
            HttpRequest(
                request.method,
                target or "/",
                (*headers, ("host", self._host), ("authorization", scope)),
                body,
            )
        )
        return AWSResponse(request.url, reply.status, _Headers(reply.headers), _RawBody(reply.body))


def _Headers(pairs: tuple[tuple[str, str], ...]) -> Any:  # noqa: N802 - stands for a class that is imported late
    from botocore.awsrequest import HeadersDict  # noqa: PLC0415 - loaded with moto

    return HeadersDict(pairs)


def _epoch(value: Any) -> float:
    from botocore.utils import parse_timestamp  # noqa: PLC0415 - loaded with moto

    return float(parse_timestamp(value).timestamp())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body)


def _plain(value: Any) -> Any:
    return value.read() if hasattr(value, "read") else value
