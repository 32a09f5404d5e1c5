from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from nightlatch.local.http.message import HttpRequest
    from nightlatch.local.http.routing import Route


def parameters(request: HttpRequest, found: Route) -> dict[str, Any]:
    """The members of a write where its body is JSON, with the name that a REST path holds."""
    try:
        body = request.json()
    except ApiError:
        return {}
    if found.service == "scheduler":
        _, _, name = request.path.strip("/").partition("/")
        body.setdefault("Name", name)
    return body
