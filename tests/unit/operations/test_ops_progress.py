from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from nightlatch.operations.container_logs import LogLine, ProgressMeter, progress_line, stream_name

BEGAN = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)


def line(second: float, **progress: object) -> LogLine:
    message = json.dumps({"nightlatch": "progress", **progress})
    return LogLine(BEGAN + timedelta(seconds=second), "load", 1, message)


def test_percent_rate_and_time_to_go() -> None:
    meter = ProgressMeter()

    meter.take([line(0, done=0, total=100), line(10, done=20, total=100)])

    assert meter.latest is not None
    assert (meter.latest.percent, meter.latest.per_second, meter.latest.eta_seconds) == (20.0, 2.0, 40.0)


def test_the_rate_is_that_of_the_last_minutes() -> None:
    meter = ProgressMeter()

    meter.take([line(0, done=0, total=1000), line(600, done=60, total=1000), line(660, done=660, total=1000)])

    assert meter.latest is not None
    assert meter.latest.per_second == 10.0
    assert meter.latest.eta_seconds == 34.0


def test_a_new_phase_begins_to_count_anew() -> None:
    meter = ProgressMeter()

    meter.take([line(0, done=0, total=10, phase="a"), line(5, done=10, total=10, phase="a")])
    meter.take([line(6, done=1, total=500, phase="b")])

    assert meter.latest is not None
    assert (meter.latest.percent, meter.latest.eta_seconds) == (0.2, None)


def test_without_a_total_there_is_no_percentage() -> None:
    meter = ProgressMeter()

    meter.take([line(0, done=5, total=None), line(5, done=10)])

    assert meter.latest is not None
    assert (meter.latest.percent, meter.latest.total, meter.latest.per_second) == (None, None, 1.0)


@pytest.mark.parametrize(
    "message",
    ["hello", "{", '{"nightlatch": "other", "done": 1}', '{"nightlatch": "progress"}', '["nightlatch"]'],
)
def test_other_lines_are_not_progress(message: str) -> None:
    assert progress_line(message) is None


def test_the_stream_is_that_of_the_awslogs_driver() -> None:
    assert stream_name("report", "0123") == "report/job/0123"
