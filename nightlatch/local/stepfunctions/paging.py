from __future__ import annotations

import base64
import json
from typing import Any

from nightlatch.local.api_error import ApiError

_LARGEST_PAGE = 1000
_DEFAULT_PAGE = 100


def page_of(request: dict[str, Any]) -> tuple[int, int]:
    """Where a page begins and how many items it may have.

    Raises:
        ApiError: ``InvalidToken`` or ``ValidationException``.
    """
    size = request.get("maxResults") or _DEFAULT_PAGE
    if not isinstance(size, int) or not 0 <= size <= _LARGEST_PAGE:
        raise ApiError(
            "ValidationException",
            f"1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: "
            f"Member must have value less than or equal to {_LARGEST_PAGE}",
        )
    token = request.get("nextToken")
    if token is None:
        return 0, size
    try:
        start = json.loads(base64.urlsafe_b64decode(token))["start"]
    except (ValueError, KeyError, TypeError) as error:
        raise ApiError("InvalidToken", f"Invalid Token: '{token}'") from error
    return int(start), size


def page(items: list[dict[str, Any]], request: dict[str, Any], member: str) -> dict[str, Any]:
    """Cut a page out of a whole list."""
    start, size = page_of(request)
    return with_token(items[start : start + size + 1], member, start, size)


def with_token(items: list[dict[str, Any]], member: str, start: int, size: int) -> dict[str, Any]:
    """A page from up to ``size`` + 1 items: the one too many says that there is another page."""
    reply: dict[str, Any] = {member: items[:size]}
    if len(items) > size:
        reply["nextToken"] = base64.urlsafe_b64encode(json.dumps({"start": start + size}).encode()).decode()
    return reply
