from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.state_directory import LocalStartError

_TIMEOUT_SECONDS = 60


class ExternalStates:
    """Step Functions served by another engine, such as AWS's own aws-stepfunctions-local.

    Args:
        url: The engine's endpoint.
        region: For the signature's scope; nobody checks the signature.

    Raises:
        LocalStartError: The URL is none.
    """

    def __init__(self, url: str, region: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise LocalStartError(
                f"--states-endpoint must be a URL such as http://127.0.0.1:8083, not {url!r}"
            )
        self._url = url
        self._parts = parts
        self._scope = (
            f"AWS4-HMAC-SHA256 Credential=local/20260101/{region}/states/aws4_request, "
            "SignedHeaders=host, Signature=none"
        )

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Have the other engine carry out one operation.

        Raises:
            ApiError: It refused, or does not answer.
        """
        return await trio.to_thread.run_sync(self._call, operation, request, abandon_on_cancel=True)

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=_TIMEOUT_SECONDS)
        headers = {
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": f"AWSStepFunctions.{operation}",
            "authorization": self._scope,
        }
        try:
            connection.request("POST", self._parts.path or "/", json.dumps(request), headers)
            reply = connection.getresponse()
            status, body = reply.status, json.loads(reply.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(
                "ServiceUnavailable",
                f"The Step Functions engine at {self._url} does not answer ({error}). Start it, or leave out "
                "--states-endpoint to use the one built in.",
                503,
            ) from error
        finally:
            connection.close()
        if status not in range(200, 300):
            code = str(body.get("__type", "Unknown")).rpartition("#")[2]
            raise ApiError(code, str(body.get("message") or body.get("Message") or ""), status)
        answer: dict[str, Any] = body
        return answer
