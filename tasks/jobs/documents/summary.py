"""What a run came to: counts, reasons, answers, agreement with labels, time, tokens and money."""

import json
from collections import Counter
from typing import Any, Final

from tasks.jobs.documents.telemetry import Latencies

_SUMS: Final = (
    "requests",
    "failed_requests",
    "throttled",
    "input_tokens",
    "output_tokens",
    "dollars",
    "repaired",
)
_MOST_VALUES: Final = 50
_EXAMPLES: Final = 5


class Summary:
    """Counts lines as they are merged."""

    def __init__(self) -> None:
        self.documents = 0
        self.answered = 0
        self.dead = 0
        self.shards = 0
        self.shards_failed = 0
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, str]]] = {}
        self._values: dict[str, Counter[str]] = {}
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._sums: Counter[str] = Counter()
        self._dollars = 0.0
        self._latencies = Latencies()

    def shard(self, about: dict[str, Any]) -> None:
        """A shard that published, as its shard.json tells."""
        for name in _SUMS:
            if name == "dollars":
                self._dollars += float(about.get(name, 0.0))
            else:
                self._sums[name] += int(about.get(name, 0))
        self._latencies.merge(Latencies(about.get("latencies")))

    def result(self, record: dict[str, Any]) -> None:
        """A result."""
        self.answered += 1
        answer = record.get("answer")
        for name, value in (answer if isinstance(answer, dict) else {}).items():
            values = self._values.setdefault(name, Counter())
            if isinstance(value, str) and (value in values or len(values) <= _MOST_VALUES):
                values[value] += 1
        if isinstance(answer, dict) and record.get("label") and isinstance(answer.get("label"), str):
            self._pairs[record["label"], answer["label"]] += 1

    def dead_letter(self, record: dict[str, Any]) -> None:
        """A dead letter."""
        self.dead += 1
        reason = str(record.get("reason", ""))
        self._reasons[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append({"id": str(record.get("id", "")), "detail": str(record.get("detail", ""))})

    def members(self) -> dict[str, Any]:
        """For JSON."""
        told: dict[str, Any] = {
            "documents": self.documents,
            "answered": self.answered,
            "dead_letters": self.dead,
            "failure_rate": round(self.dead / self.documents, 6) if self.documents else 0.0,
            "shards": self.shards,
            "shards_failed": self.shards_failed,
            "reasons": dict(self._reasons.most_common()),
            "examples": self._examples,
            "answers": {
                name: dict(values.most_common())
                for name, values in self._values.items()
                if values and len(values) <= _MOST_VALUES
            },
            **{name: self._sums[name] for name in _SUMS if name != "dollars"},
            "dollars": round(self._dollars, 6),
            "latency_p50_seconds": round(self._latencies.quantile(0.5), 4),
            "latency_p95_seconds": round(self._latencies.quantile(0.95), 4),
        }
        labelled = sum(self._pairs.values())
        if labelled:
            right = sum(count for (said, found), count in self._pairs.items() if said == found)
            told["labelled"] = labelled
            told["agreement"] = round(right / labelled, 6)
            told["confusion"] = [
                {"label": said, "answer": found, "documents": count}
                for (said, found), count in sorted(self._pairs.items())
            ]
        return told

    def line(self) -> str:
        """For the log."""
        told = self.members()
        names = ("documents", "answered", "dead_letters", "reasons", "dollars", "agreement")
        return json.dumps({"event": "collected", **{name: told[name] for name in names if name in told}})
