"""What containers say: log lines, and the progress among them."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nightlatch.operations.attempts import Attempt
    from nightlatch.operations.deployment import Deployment

CONTAINER = "job"
# GetLogEvents returns at most 10,000 events or 1 MB a call.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
_PAGE = 10_000
_RATE_WINDOW = timedelta(minutes=5)


@dataclass(frozen=True)
class LogLine:
    """One line of one attempt's container."""

    at: datetime
    step: str
    attempt: int
    message: str
    shard: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far an attempt is.

    Attributes:
        done: Units done; their meaning is the job's own.
        total: Units in all, when the job knows.
        percent: 0 to 100, when the total is known.
        per_second: Units a second over the last minutes of this phase.
        eta_seconds: Seconds to go at that rate, counted from `at`.
    """

    at: datetime
    done: float
    total: float | None
    phase: str | None
    message: str | None
    percent: float | None = None
    per_second: float | None = None
    eta_seconds: float | None = None


def stream_name(job: str, task_id: str) -> str:
    """The log stream that the awslogs driver writes for a task: prefix, container, task id."""
    return f"{job}/{CONTAINER}/{task_id}"


def progress_line(message: str) -> dict[str, Any] | None:
    """The progress that a log line reports, or None when it is another line."""
    if '"nightlatch"' not in message or not message.lstrip().startswith("{"):
        return None
    try:
        parsed = json.loads(message)
    except ValueError:
        return None
    if not isinstance(parsed, dict) or parsed.get("nightlatch") != "progress":
        return None
    return parsed if isinstance(parsed.get("done"), (int, float)) else None


@dataclass
class ProgressMeter:
    """Turns progress lines into a percentage, a rate and a time to go."""

    latest: Progress | None = None
    _samples: deque[tuple[datetime, float]] = field(default_factory=deque)

    def take(self, lines: Iterable[LogLine]) -> None:
        """Count the progress lines among these lines, which must come in order."""
        for line in lines:
            parsed = progress_line(line.message)
            if parsed is not None:
                self._count(line.at, parsed)

    def _count(self, at: datetime, parsed: dict[str, Any]) -> None:
        done, phase = float(parsed["done"]), parsed.get("phase")
        given = parsed.get("total")
        total = float(given) if isinstance(given, (int, float)) and given > 0 else None
        if self.latest is not None and (self.latest.phase != phase or done < self.latest.done):
            self._samples.clear()
        self._samples.append((at, done))
        while len(self._samples) > 2 and at - self._samples[0][0] > _RATE_WINDOW:  # noqa: PLR2004  a rate needs two
            self._samples.popleft()
        rate = self._rate()
        self.latest = Progress(
            at=at,
            done=done,
            total=total,
            phase=phase,
            message=parsed.get("message"),
            percent=min(100.0, 100 * done / total) if total else None,
            per_second=rate,
            eta_seconds=max(0.0, (total - done) / rate) if total and rate else None,
        )

    def _rate(self) -> float | None:
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        seconds = (last_at - first_at).total_seconds()
        return (last - first) / seconds if seconds > 0 and last > first else None


class LogReader:
    """Reads the log streams of a run's attempts, each time only what is new.

    Args:
        deployment: The environment.
        job: The job's name.
        since: Nothing before this moment.
        tail: Begin so many lines before the present end of each stream; None begins at the start.
    """

    def __init__(
        self, deployment: Deployment, job: str, *, since: datetime | None = None, tail: int | None = None
    ) -> None:
        self._client = deployment.clients.logs
        self._group = deployment.installation.log_group
        self._job = job
        self._since = since
        self._tail = tail
        self._tokens: dict[str, str] = {}

    def read(self, attempts: Iterable[Attempt]) -> list[LogLine]:
        """New lines of these attempts, in the order of time."""
        lines = [
            line for attempt in attempts if attempt.task_id for line in self._read(attempt, attempt.task_id)
        ]
        return sorted(lines, key=lambda line: line.at)

    def _read(self, attempt: Attempt, task_id: str) -> list[LogLine]:
        lines: list[LogLine] = []
        known = self._tokens.get(task_id)
        while True:
            request = self._request(task_id, known)
            try:
                reply = self._client.get_log_events(**request)
            except self._client.exceptions.ResourceNotFoundException:
                return lines
            lines += [
                LogLine(
                    at=datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
                    step=attempt.step,
                    attempt=attempt.number,
                    message=event["message"].rstrip("\n"),
                    shard=attempt.shard,
                )
                for event in reply["events"]
            ]
            token = reply["nextForwardToken"]
            # The same token again means: nothing newer yet.
            done = token == known or not reply["events"] or (known is None and self._tail is not None)
            if token != known and (reply["events"] or known is None):
                self._tokens[task_id] = token
            if done:
                return lines
            known = token

    def _request(self, task_id: str, token: str | None) -> dict[str, Any]:
        request: dict[str, Any] = {
            "logGroupName": self._group,
            "logStreamName": stream_name(self._job, task_id),
            "startFromHead": token is not None or self._tail is None,
            "limit": _PAGE,
        }
        if token is not None:
            request["nextToken"] = token
        elif self._tail is not None:
            request["limit"] = max(1, min(self._tail, _PAGE))
        if self._since is not None:
            request["startTime"] = int(self._since.timestamp() * 1000)
        return request
