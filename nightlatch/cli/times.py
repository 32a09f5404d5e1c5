"""Moments and spans of time, read and written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from nightlatch.cli.settings import TimeStyle
from nightlatch.operations.errors import OperationError
from nightlatch.operations.text_of_time import iso

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z")
_MINUTE = 60
_HOUR = 3600
_DAY = 86400


def span(seconds: float) -> str:
    """A span in its two largest units: ``6 s``, ``3 m 20 s``, ``3 h 12 m``, ``2 d 4 h``."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _pair(whole // _MINUTE, "m", whole % _MINUTE, "s")
    if whole < _DAY:
        return _pair(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "m")
    return _pair(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def moment_text(moment: datetime, style: TimeStyle, now: datetime) -> str:
    """A moment in the style of `--time`."""
    if style is TimeStyle.ISO:
        return iso(moment)
    if style is TimeStyle.UTC:
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if style is TimeStyle.LOCAL:
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    seconds = (now - moment).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def parse_duration(text: str, option: str) -> int:
    """Seconds of ``45s``, ``20m``, ``2h``, ``1h30m``, ``1d``; a plain number is seconds.

    Raises:
        OperationError: The text is none of these (USE-001).
    """
    cleaned = text.replace(" ", "").lower()
    if cleaned.isdecimal():
        return int(cleaned)
    match = _DURATION.match(cleaned)
    if not cleaned or match is None:
        raise OperationError(
            "USE-001",
            f"{option} takes a duration, not {text!r}",
            facts=[("example", "45s, 20m, 2h, 1h30m, 1d")],
        )
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return days * _DAY + hours * _HOUR + minutes * _MINUTE + seconds


def parse_moment(text: str, option: str, now: datetime) -> datetime:
    """The moment named by ISO 8601, by ``HH:MM``, or by a duration.

    ``HH:MM`` is the last time that the local clock said so; a duration is so long ago.

    Args:
        text: What the user gave.
        option: The option's name, for the message.
        now: The present, with a time zone.

    Raises:
        OperationError: The text is none of these (USE-001).
    """
    clock = _CLOCK.match(text.strip())
    if clock is not None:
        here = now.astimezone()
        then = here.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        return then if then <= here else then - timedelta(days=1)
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        pass
    else:
        return parsed if parsed.tzinfo else parsed.astimezone()
    try:
        return now - timedelta(seconds=parse_duration(text, option))
    except OperationError:
        raise OperationError(
            "USE-001",
            f"{option} takes a moment, not {text!r}",
            facts=[("example", "2026-11-21T21:00:00Z, 02:00 (the last one), 90m (that long ago)")],
        ) from None
