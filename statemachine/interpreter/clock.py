"""The time of day. Sleeping is always `trio.sleep`, so only reading the clock needs a seam."""

import datetime as dt
import time
from typing import Protocol

import trio


class Clock(Protocol):
    """Tells the time as seconds since the epoch."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return time.time()


class TrioClock:
    """A time of day that moves with trio's clock, so `trio.testing.MockClock` moves both.

    Args:
        start: the time of day at the moment of construction, in seconds since the epoch.
    """

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._offset = start - trio.current_time()

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return self._offset + trio.current_time()


def iso_time(seconds: float) -> str:
    """An instant as Step Functions writes it: `2026-01-01T00:00:00.000Z`."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_iso_time(text: str) -> float:
    """The instant that an ISO 8601 text with `Z` or an offset names, in seconds since the epoch.

    Raises:
        ValueError: the text is not a time stamp or lacks its offset.
    """
    if len(text) < len("2026-01-01T00:00:00Z") or text[10] not in "Tt":
        raise ValueError(f"{text!r} is not a time stamp such as 2026-01-01T00:00:00Z")
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has neither Z nor an offset")
    return moment.timestamp()
