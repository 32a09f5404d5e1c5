"""Each document ends once: as a result, or as a dead letter with its reason. Both go through here."""

from collections.abc import Mapping
from typing import Any, Final

from tasks.jobs.documents.journal import Journal, Record
from tasks.jobs.documents.shard import Item
from tasks.jobs.documents.telemetry import Telemetry, Totals

ANSWER: Final = "answer"
DEAD: Final = "dead"

# Why a document was not answered. Those of the plan come first.
UNREADABLE: Final = "unreadable"
EMPTY: Final = "empty"
TOO_LARGE: Final = "too_large"
ID_USED_TWICE: Final = "id_used_twice"
INVALID_OUTPUT: Final = "invalid_output"
REFUSED: Final = "refused"
BAD_REQUEST: Final = "bad_request"
GAVE_UP: Final = "gave_up"
COST_CEILING: Final = "cost_ceiling"
SHARD_FAILED: Final = "shard_failed"

_MILLION: Final = 1_000_000.0


class Settling:
    """Writes the journal and counts."""

    def __init__(self, journal: Journal, telemetry: Telemetry, model: str) -> None:
        self._journal = journal
        self._telemetry = telemetry
        self._model = model

    def answer(
        self,
        item: Item,
        answer: Any,
        tokens: tuple[int, int],
        micros: float,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """The document is answered; `tokens` and `micros` are its part of the request."""
        record = self._record(item, ANSWER) | {"answer": answer, "model": self._model}
        self._write(record | _use(tokens, micros) | dict(more or {}))

    def dead(self, item: Item, reason: str, detail: str = "") -> None:
        """The document has no answer. The dead letter carries it whole, so that it can be sent again."""
        told = {"reason": reason, "detail": detail[:500], "text": item.text, "received": item.received}
        self._write(self._record(item, DEAD) | told)

    def flush(self) -> None:
        """See Journal."""
        self._journal.flush()

    @staticmethod
    def _record(item: Item, kind: str) -> Record:
        told: Record = {"n": item.n, "kind": kind, "id": item.id, "work": item.work}
        if item.label:
            told["label"] = item.label
        if item.tries or item.problem:
            told["tries"] = item.tries + bool(item.problem)
        return told

    def _write(self, record: Record) -> None:
        if self._journal.settle(record):
            count(self._telemetry.totals, record)


def _use(tokens: tuple[int, int], micros: float) -> Record:
    return {"tokens": list(tokens), "dollars": round(micros / _MILLION, 9)} if any(tokens) or micros else {}


def count(totals: Totals, record: Record) -> None:
    """Count a settled document."""
    totals.answered += record["kind"] == ANSWER
    totals.dead += record["kind"] == DEAD
    totals.repaired += record["kind"] == ANSWER and record.get("tries", 0) > 0


def count_former(totals: Totals, record: Record) -> None:
    """Count a document that a former attempt settled, with what it cost."""
    count(totals, record)
    read, written = record.get("tokens", (0, 0))
    totals.input_tokens += read
    totals.output_tokens += written
    totals.micros += record.get("dollars", 0.0) * _MILLION
