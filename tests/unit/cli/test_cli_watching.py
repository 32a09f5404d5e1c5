from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rich.console import Console

from nightlatch.cli.changes import Changes
from nightlatch.cli.documents import run_document
from nightlatch.cli.live import picture
from nightlatch.cli.log_text import log_text
from nightlatch.operations.attempts import Attempt
from nightlatch.operations.container_logs import Progress
from nightlatch.operations.locks import LockStatus
from nightlatch.operations.observation import Observation
from nightlatch.operations.runs import Outcome, Run

BEGAN = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
TASK = "arn:aws:ecs:r:0:task/c/0123"
RUN = Run("report", "report-1", "arn:execution:m:report-1", Outcome.RUNNING, BEGAN)
FIRST = Attempt("load", 1, None, BEGAN)


def seen(second: float, *attempts: Attempt, phase: str = "Acquire", **more: object) -> Observation:
    base = Observation(BEGAN + timedelta(seconds=second), RUN, attempts, phase, None, None)
    return replace(base, **more)  # type: ignore[arg-type]


def progress(done: float) -> Progress:
    return Progress(
        BEGAN, done, 100.0, "read", None, percent=done, per_second=2.0, eta_seconds=(100 - done) / 2
    )


def test_each_change_is_said_once() -> None:
    changes = Changes()
    started = replace(FIRST, task_arn=TASK)
    mine = LockStatus("reports", "held", 118, token=118, owner=RUN.execution_arn, run="report-1")

    said = [
        changes.of(seen(0)),
        changes.of(seen(1)),
        changes.of(seen(2, FIRST, phase="step load")),
        changes.of(seen(3, started, phase="step load", lock=mine)),
        changes.of(seen(4, started, phase="step load", lock=mine, progress=progress(11))),
        changes.of(seen(5, started, phase="step load", lock=mine, progress=progress(12))),
        changes.of(seen(6, started, phase="step load", lock=mine, progress=progress(25))),
        changes.of(
            seen(
                9,
                replace(started, result="failed", exit_code=75, ended_at=BEGAN + timedelta(seconds=8)),
                run=replace(RUN, outcome=Outcome.FAILED, ended_at=BEGAN + timedelta(seconds=9)),
                phase="failed",
            )
        ),
    ]

    assert said == [
        ["Acquire"],
        [],
        ["step load, attempt 1: starting a container"],
        ["lock reports claimed, token 118", "step load, attempt 1: running for 3 s"],
        ["step load, attempt 1: 11 % · read · 11 of 100 · 44 s to go"],
        [],
        ["step load, attempt 1: 25 % · read · 25 of 100 · 38 s to go"],
        ["step load, attempt 1: failed after 8 s, exit code 75", "failed after 9 s"],
    ]


def test_a_run_that_waits_says_for_whom() -> None:
    changes = Changes()
    other = LockStatus("reports", "held", 7, owner="arn:execution:m:report-0", run="report-0")

    first = changes.of(seen(0, phase="waiting for the lock", lock=other))
    second = changes.of(seen(5, phase="waiting for the lock", lock=other))

    assert first == ["lock reports is held by report-0", "waiting for the lock"]
    assert second == []


def test_the_picture_shows_steps_progress_lock_and_token_in_80_columns() -> None:
    out = io.StringIO()
    lock = LockStatus(
        "reports", "held", 118, token=118, owner=RUN.execution_arn, run="report-1", waiting=("report-2",)
    )
    now = seen(10, replace(FIRST, task_arn=TASK), phase="step load", lock=lock, progress=progress(40))

    Console(file=out, width=80, color_system=None).print(picture(now))

    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    for word in ("report-1", "step load", "attempt 1", "running for 10 s", "40 %", "30 s to go", "token 118"):
        assert word in text
    assert "1 waiting" in text


def test_a_run_is_one_flat_json_document() -> None:
    document = run_document(seen(10, replace(FIRST, task_arn=TASK), progress=progress(40)))

    assert (document["run"], document["outcome"], document["phase"]) == ("report-1", "running", "Acquire")
    assert document["attempts"][0]["number"] == 1
    assert document["progress"]["percent"] == 40
    assert document["started_at"] == "2026-11-21T21:00:00Z"


def test_log_lines_are_unfolded_for_people() -> None:
    assert log_text("plain text") == "plain text"
    assert log_text('{"_aws": {"Timestamp": 1}}') is None
    assert log_text('{"event": "claimed", "level": "info", "token": 1, "job": "x"}') == "claimed"
    assert log_text('{"event": "gone", "level": "error", "url": "http://x", "n": 2, "why": "a b"}') == (
        'error: gone url=http://x n=2 why="a b"'
    )
    assert log_text('{"nightlatch": "progress", "done": 4, "total": 10, "phase": "read"}') == (
        "progress 4 of 10 · read"
    )
    assert log_text('{"other": 1}') == '{"other": 1}'
    assert log_text("{broken") == "{broken"
