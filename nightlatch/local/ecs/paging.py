from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = 100


def page(items: Sequence[str], request: dict[str, Any], member: str) -> dict[str, Any]:
    """One page of a listing, as ECS's List operations reply.

    Args:
        items: Everything, in a stable order.
        request: Carries ``maxResults`` (1 to 100) and ``nextToken``.
        member: Name of the list in the reply.

    Raises:
        ApiError: ``InvalidParameterException`` for a size or token that ECS would refuse.
    """
    size = request.get("maxResults") or PAGE
    if not 1 <= size <= PAGE:
        raise ApiError("InvalidParameterException", f"maxResults must be between 1 and {PAGE}.")
    start = _position(request.get("nextToken"))
    reply: dict[str, Any] = {member: list(items[start : start + size])}
    if start + size < len(items):
        reply["nextToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    return reply


def _position(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()).decode())
    except ValueError:
        raise ApiError(
            "InvalidParameterException", "Invalid token: it does not come from this list."
        ) from None
