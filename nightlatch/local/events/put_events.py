"""PutEvents: from entries to events. Source: EventBridge API reference, PutEvents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.bus import service_event

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_ENTRIES = 10


def put_events(
    request: dict[str, Any],
    accept: Callable[[str, dict[str, Any]], None],
    *,
    account: str,
    region: str,
    now: float,
) -> dict[str, Any]:
    """Take the entries of a PutEvents request.

    Args:
        request: As in the API.
        accept: Given the bus name and the event of each good entry.
        account: Twelve digits.
        region: Such as ``ap-northeast-1``.
        now: Epoch seconds, for entries without a time.

    Raises:
        ApiError: ``ValidationException`` for no entries or more than ten.
    """
    entries = request.get("Entries") or []
    if not 1 <= len(entries) <= MOST_ENTRIES:
        raise ApiError(
            "ValidationException", f"PutEvents takes 1 to {MOST_ENTRIES} entries, not {len(entries)}."
        )
    replies: list[dict[str, Any]] = []
    for entry in entries:
        fault = _fault(entry)
        if fault is not None:
            replies.append({"ErrorCode": fault[0], "ErrorMessage": fault[1]})
            continue
        event = service_event(
            source=entry["Source"],
            detail_type=entry["DetailType"],
            detail=json.loads(entry["Detail"]),
            resources=entry.get("Resources") or [],
            account=account,
            region=region,
            at=entry["Time"] if entry.get("Time") is not None else now,
        )
        accept((entry.get("EventBusName") or "default").rpartition("/")[2], event)
        replies.append({"EventId": event["id"]})
    failed = sum("ErrorCode" in reply for reply in replies)
    return {"FailedEntryCount": failed, "Entries": replies}


def _fault(entry: dict[str, Any]) -> tuple[str, str] | None:
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            return (
                "InvalidArgument",
                f"Parameter {member} is not valid. Reason: {member} is a required argument.",
            )
    if entry["Source"].startswith("aws."):
        return "NotAuthorizedForSourceException", "Not authorized for the source."
    try:
        good = isinstance(json.loads(entry["Detail"]), dict)
    except ValueError:
        good = False
    return None if good else ("MalformedDetail", "Detail is malformed.")
