from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nightlatch.local.http.routing import s3_address

if TYPE_CHECKING:
    from nightlatch.local.http.message import HttpRequest
    from nightlatch.local.http.routing import Route


def subject(route: Route, request: HttpRequest) -> str:
    """What a write is about, as far as compaction needs to know; else an empty text."""
    if route.service == "s3":
        return "/".join(s3_address(request))
    if route.service == "logs":
        try:
            body = json.loads(request.body)
        except ValueError:
            return ""
        return f"{body.get('logGroupName', '')}\n{body.get('logStreamName', '')}"
    return ""
