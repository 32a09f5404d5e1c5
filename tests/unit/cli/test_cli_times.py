from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nightlatch.cli.settings import TimeStyle
from nightlatch.cli.times import moment_text, parse_duration, parse_moment, span
from nightlatch.operations.errors import OperationError

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 m"),
        (200, "3 m 20 s"),
        (3 * 3600 + 12 * 60 + 9, "3 h 12 m"),
        (100 * 3600, "4 d 4 h"),
    ],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45", 45), ("45s", 45), ("20m", 1200), ("1h30m", 5400), ("1d", 86400), ("2 h", 7200)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text, "--timeout") == seconds


@pytest.mark.parametrize("text", ["", "soon", "1w", "5m2h", "-3"])
def test_other_durations_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(OperationError, match="--timeout takes a duration") as caught:
        parse_duration(text, "--timeout")

    assert "1h30m" in str(caught.value.facts)


def test_moments() -> None:
    assert parse_moment("2026-11-21T20:00:00Z", "--at", NOW) == NOW - timedelta(hours=1)
    assert parse_moment("90m", "--at", NOW) == NOW - timedelta(minutes=90)
    clock = parse_moment(f"{NOW.astimezone():%H:%M}", "--at", NOW)
    assert clock == NOW
    later = parse_moment(f"{(NOW + timedelta(minutes=1)).astimezone():%H:%M}", "--at", NOW)
    assert later < NOW
    with pytest.raises(OperationError, match="--at takes a moment"):
        parse_moment("tonight", "--at", NOW)


def test_styles() -> None:
    then = NOW - timedelta(minutes=5)

    assert moment_text(then, TimeStyle.RELATIVE, NOW) == "5 m ago"
    assert moment_text(NOW + timedelta(hours=2), TimeStyle.RELATIVE, NOW) == "in 2 h"
    assert moment_text(then, TimeStyle.ISO, NOW) == "2026-11-21T20:55:00Z"
    assert moment_text(then, TimeStyle.UTC, NOW) == "2026-11-21 20:55:00 UTC"
