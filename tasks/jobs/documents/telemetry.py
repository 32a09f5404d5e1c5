"""How the work goes: metrics as log lines (EMF), the progress line, and the totals of a shard.

Source of the format: "Specification: Embedded metric format", Amazon CloudWatch user guide.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tasks.jobs.program import ProgressLines, say

NAMESPACE: Final = "Nightlatch"
PERIOD: Final = 10.0
_LEAST: Final = 0.001
_RATIO: Final = 1.1
_MILLION: Final = 1_000_000.0


class Latencies:
    """Times in buckets that grow by a tenth, so that those of all shards can be added; in seconds."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = Counter({int(bucket): count for bucket, count in (counts or {}).items()})

    def add(self, seconds: float, count: int = 1) -> None:
        """Count a time."""
        self._counts[max(0, math.ceil(math.log(max(seconds, _LEAST) / _LEAST, _RATIO)))] += count

    def merge(self, other: "Latencies") -> None:
        """Add those of another."""
        self._counts.update(other._counts)  # noqa: SLF001  (of our own kind)

    def quantile(self, share: float) -> float:
        """The time that `share` of all stay below, in seconds, at most a tenth too high; 0 without any."""
        total = sum(self._counts.values())
        wanted, seen = share * total, 0
        for bucket, count in sorted(self._counts.items()):
            seen += count
            if seen >= wanted:
                return float(_LEAST * _RATIO**bucket)
        return 0.0

    def members(self) -> dict[str, int]:
        """For JSON."""
        return {str(bucket): count for bucket, count in sorted(self._counts.items())}


@dataclass
class Totals:
    """Of one shard, former attempts included where the journal knows; `micros` in millionths of a dollar."""

    documents: int = 0
    answered: int = 0
    dead: int = 0
    repaired: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    micros: float = 0.0
    requests: int = 0
    failed_requests: int = 0
    throttled: int = 0
    latencies: Latencies = field(default_factory=Latencies)

    def members(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "documents": self.documents,
            "answered": self.answered,
            "dead": self.dead,
            "repaired": self.repaired,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "dollars": round(self.micros / _MILLION, 6),
            "requests": self.requests,
            "failed_requests": self.failed_requests,
            "throttled": self.throttled,
            "latencies": self.latencies.members(),
        }


class Telemetry:
    """Counts, and tells each second (progress) and each `PERIOD` (metrics)."""

    def __init__(
        self,
        totals: Totals,
        names: Mapping[str, str],
        oldest: Callable[[], float],
        *,
        write: Callable[[str], None] = say,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.totals = totals
        self._names = names
        self._oldest = oldest
        self._write = write
        self._clock = clock
        self._progress = ProgressLines()
        self._told = clock()
        self._window = Latencies()
        self._before = self._counts()
        self.in_flight: Callable[[], int] = lambda: 0

    def request(self, seconds: float, *, failed: bool = False, throttled: bool = False) -> None:
        """One request has ended."""
        self.totals.requests += 1
        self.totals.failed_requests += failed
        self.totals.throttled += throttled
        if not failed:
            self.totals.latencies.add(seconds)
            self._window.add(seconds)

    def used(self, input_tokens: int, output_tokens: int, micros: float) -> None:
        """Tokens and money of one request."""
        self.totals.input_tokens += input_tokens
        self.totals.output_tokens += output_tokens
        self.totals.micros += micros

    def pulse(self, *, last: bool = False) -> None:
        """Tell, if it is time to."""
        totals = self.totals
        done = totals.answered + totals.dead
        self._progress.show("documents", done, totals.documents, self._words(), last=last)
        if last or self._clock() - self._told >= PERIOD:
            self._told = self._clock()
            self._write(self._record())
            self._window, self._before = Latencies(), self._counts()

    def _queue(self) -> int:
        return self.totals.documents - self.totals.answered - self.totals.dead

    def _age(self) -> float:
        """Of the oldest document that waits, in seconds."""
        return max(0.0, self._clock() - self._oldest()) if self._queue() else 0.0

    def _words(self) -> str:
        totals, latencies = self.totals, self.totals.latencies
        share = totals.dead / max(1, totals.answered + totals.dead)
        words = [
            f"{self._queue()} waiting, the oldest for {self._age():.0f} s",
            f"p50 {latencies.quantile(0.5):.3g} s, p95 {latencies.quantile(0.95):.3g} s",
            f"{share:.1%} failed",
        ]
        if totals.input_tokens or totals.output_tokens:
            words.append(
                f"{totals.input_tokens + totals.output_tokens} tokens, ${totals.micros / _MILLION:.4f}"
            )
        return "; ".join(words)

    def _counts(self) -> dict[str, float]:
        totals = self.totals
        return {
            "Answered": totals.answered,
            "DeadLetters": totals.dead,
            "InputTokens": totals.input_tokens,
            "OutputTokens": totals.output_tokens,
            "Dollars": totals.micros / _MILLION,
            "Requests": totals.requests,
            "FailedRequests": totals.failed_requests,
            "Throttled": totals.throttled,
        }

    def _record(self) -> str:
        now, window = self._counts(), self._window
        since = {name: round(now[name] - self._before[name], 6) for name in now}
        settled = since["Answered"] + since["DeadLetters"]
        units: dict[str, tuple[float, str]] = {
            **{name: (value, "None" if name == "Dollars" else "Count") for name, value in since.items()},
            "QueueLength": (self._queue(), "Count"),
            "OldestSeconds": (round(self._age(), 3), "Seconds"),
            "LatencyP50": (round(window.quantile(0.5) * 1000, 3), "Milliseconds"),
            "LatencyP95": (round(window.quantile(0.95) * 1000, 3), "Milliseconds"),
            "FailureRate": (round(100 * since["DeadLetters"] / settled, 3) if settled else 0.0, "Percent"),
            "InFlight": (self.in_flight(), "Count"),
        }
        record = {
            "_aws": {
                "Timestamp": int(self._clock() * 1000),
                "CloudWatchMetrics": [
                    {
                        "Namespace": NAMESPACE,
                        "Dimensions": [["Job", "Step"]],
                        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in units.items()],
                    }
                ],
            },
            **self._names,
            **{name: value for name, (value, _) in units.items()},
        }
        return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
