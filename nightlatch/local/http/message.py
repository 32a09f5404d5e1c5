from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from nightlatch.local.api_error import ApiError


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came over the wire.

    Attributes:
        target: Path and query as sent, percent-encoding untouched.
        headers: Names in lower case, in the order sent.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path as sent, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query as sent."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str:
        """A header's first value, or an empty text."""
        return next((value for key, value in self.headers if key == name), "")

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            ApiError: It is none.
        """
        try:
            body = json.loads(self.body or b"{}")
        except ValueError as error:
            raise ApiError("SerializationException", f"The request body is not JSON: {error}.") from error
        if not isinstance(body, dict):
            raise ApiError("SerializationException", "The request body is not a JSON object.")
        return body


@dataclass(frozen=True)
class HttpReply:
    """What goes back over the wire."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


def json_reply(body: object, *, status: int = 200, content_type: str = "application/json") -> HttpReply:
    """A JSON document as a reply."""
    return HttpReply(
        status,
        (("content-type", content_type), ("x-amzn-requestid", str(uuid.uuid4()))),
        json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
    )


def error_reply(error: ApiError, request: HttpRequest) -> HttpReply:
    """An API's refusal in the dialect that the caller speaks: AWS JSON, REST-JSON or XML."""
    content_type = request.header("content-type")
    if request.header("x-amz-target") or "json" in content_type:
        dialect = content_type if content_type.startswith("application/x-amz-json") else "application/json"
        reply = json_reply(
            {"__type": error.code, "message": error.message}, status=error.status, content_type=dialect
        )
        return HttpReply(reply.status, (*reply.headers, ("x-amzn-errortype", error.code)), reply.body)
    request_id = str(uuid.uuid4())
    side = "Sender" if error.status < 500 else "Receiver"  # noqa: PLR2004 - HTTP's own boundary
    inner = (
        f"<Type>{side}</Type><Code>{_escaped(error.code)}</Code><Message>{_escaped(error.message)}</Message>"
    )
    text = (
        f"<ErrorResponse><Error>{inner}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        if content_type.startswith("application/x-www-form-urlencoded")
        else f"<Error>{inner}<RequestId>{request_id}</RequestId></Error>"
    )
    return HttpReply(
        error.status, (("content-type", "application/xml"), ("x-amzn-requestid", request_id)), text.encode()
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
