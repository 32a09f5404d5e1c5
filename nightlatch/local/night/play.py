"""The night from evening to morning."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from nightlatch.local.night.board import Board
from nightlatch.local.night.results import fetch, verdicts, wrong
from nightlatch.local.night.stories import (
    MAIN_JOB,
    Story,
    StoryFailedError,
    hang,
    killed,
    second_start,
    until,
)
from nightlatch.operations.executions import read_run
from nightlatch.operations.locks import list_locks
from nightlatch.operations.observation import Observation, Watcher, follow
from nightlatch.operations.runs import Outcome

if TYPE_CHECKING:
    from nightlatch.local.night.setting import Setting
    from nightlatch.operations.deployment import Deployment
    from nightlatch.operations.runs import Run

_JAPAN = timedelta(hours=9)
_LOCK = "articles"


def play(setting: Setting) -> int:
    """Set up, fire, watch, check. Returns the exit status."""
    with Board() as board:
        say = partial(board.say, "night")
        say(f"pictures are served at {setting.start_pictures()} (404, slow, truncated, redirect loop, ...)")
        say(setting.load_articles())
        setting.write_jobs()
        say(f"local AWS at {setting.start_aws()}, state in {setting.state}")
        deployment = setting.deployment()
        scheduled = _last_six_o_clock()
        _fire(setting, deployment, scheduled)
        say(f"schedule {MAIN_JOB} fired for {scheduled} (06:00 in Tokyo)")
        run = until(lambda: _started(deployment), "the schedule to start the main job")
        stories = [
            Story("second start", board, partial(second_start, setting.deployment(), setting.environment)),
            Story("hang", board, partial(hang, setting.deployment())),
            Story("killed", board, partial(killed, setting.deployment())),
        ]
        for story in stories:
            story.start()
        last = _watch(board, deployment, run)
        for story in stories:
            story.join()
        failures = [f"{story.name}: {story.failure}" for story in stories if story.failure]
        if last.run.outcome is not Outcome.SUCCEEDED:
            failures.append(f"main job: {last.run.outcome.value}, {last.run.reason}")
        else:
            failures += _show_results(board, setting, deployment)
        for lock in list_locks(deployment):
            say(
                f"lock {lock.key}: {lock.state}, fence {lock.fence}, last {lock.last_run} {lock.last_outcome}"
            )
        failures += [f"lock {lock.key} is {lock.state}" for lock in list_locks(deployment) if lock.held]
        say(f"outcome: {last.run.outcome.value}" if not failures else f"FAILED: {'; '.join(failures)}")
        if setting.keep:
            say(f"the local AWS stays: export NIGHTLATCH_STATE={setting.state}")
    return 1 if failures else 0


def _last_six_o_clock() -> str:
    """The scheduled time that was due last: 06:00 in Tokyo, as the Scheduler writes it."""
    now = datetime.now(UTC) + _JAPAN
    six = now.replace(hour=6, minute=0, second=0, microsecond=0)
    due = six if six <= now else six - timedelta(days=1)
    return (due - _JAPAN).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fire(setting: Setting, deployment: Deployment, scheduled_time: str) -> None:
    """Deliver one scheduled time now, through the Scheduler's own delivery path."""
    group = deployment.installation.schedule_group
    request = urllib.request.Request(  # noqa: S310 - our own loopback endpoint
        f"{setting.endpoint}/_nightlatch/schedules/{group}/{MAIN_JOB}/fire",
        data=json.dumps({"scheduled_time": scheduled_time}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - the same
        pass


def _started(deployment: Deployment) -> Run | None:
    found = deployment.clients.stepfunctions.list_executions(
        stateMachineArn=deployment.installation.machine_arn(MAIN_JOB)
    )["executions"]
    return read_run(deployment, MAIN_JOB, found[-1]["name"]) if found else None


def _watch(board: Board, deployment: Deployment, run: Run) -> Observation:
    last = None
    for seen in follow(Watcher(deployment, run, lock_key=_LOCK), deployment.interval):
        board.show(seen)
        last = seen
    if last is None:
        raise StoryFailedError("the main job was never seen")
    return last


def _show_results(board: Board, setting: Setting, deployment: Deployment) -> list[str]:
    """Copy and name the results; returns where they disagree with the picture server's own account."""
    say = partial(board.say, "night")
    mistakes: dict[str, str] = {}
    for step in ("generate", "check"):
        for path in fetch(deployment, MAIN_JOB, step, setting.root / "results" / step):
            say(f"result: {path}")
            if path.name == "findings.jsonl":
                found = verdicts(path)
                mistakes = wrong(found, setting.truth())
                counts = ", ".join(
                    f"{number} {what}" for what, number in Counter(found.values()).most_common()
                )
                say(f"verdicts on {len(found)} pictures: {counts}; {len(found) - len(mistakes)} are right")
    return [f"{url}: {what}" for url, what in mistakes.items()]
