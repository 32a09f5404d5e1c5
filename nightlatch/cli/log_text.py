"""Log lines for people: structured ones unfolded, metrics left out, everything else as it is."""

from __future__ import annotations

import json
from typing import Any

from nightlatch.operations.container_logs import progress_line

# What every line of a run repeats, or what the view says already.
_KNOWN = frozenset(
    {"attempt", "event", "job", "level", "lock", "run", "step", "task", "time", "timestamp", "token"}
)
_LOUD = frozenset({"warning", "error", "critical", "exception"})


def log_text(message: str) -> str | None:
    """A log line as people read it; None for one that is not meant for them, such as metrics.

    Args:
        message: The line as the container wrote it.
    """
    parsed = _structured(message)
    if parsed is None:
        return message
    if "_aws" in parsed:
        # A line in CloudWatch's embedded metric format is for CloudWatch.
        return None
    if progress_line(message) is not None:
        return _progress(parsed)
    if "event" not in parsed:
        return message
    level = str(parsed.get("level", ""))
    head = f"{level}: {parsed['event']}" if level in _LOUD else str(parsed["event"])
    rest = [f"{key}={_value(value)}" for key, value in parsed.items() if key not in _KNOWN]
    return " ".join([head, *rest])


def _structured(message: str) -> dict[str, Any] | None:
    if not message.startswith("{"):
        return None
    try:
        parsed = json.loads(message)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _progress(parsed: dict[str, Any]) -> str:
    total = f" of {parsed['total']}" if parsed.get("total") is not None else ""
    parts = [f"{parsed['done']}{total}", parsed.get("phase"), parsed.get("message")]
    return "progress " + " · ".join(str(part) for part in parts if part)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)
