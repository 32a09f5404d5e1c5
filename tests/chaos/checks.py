"""What the histories must show. Whatever is out of the ordinary is an anomaly: classified, counted, kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Final

from tests.chaos import linearizability
from tests.chaos.stage import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.history import Histories

VIOLATIONS: Final = frozenset(
    {
        "overlap",
        "token_order",
        "token_reused",
        "stale_write_accepted",
        "refused_without_reason",
        "not_linearizable",
    }
)
"""Classes that the lock promises never to show. All others are what the faults are expected to cause."""

_NEVER: Final = 1 << 62
_LEASE_NS: Final = int(LEASE_SECONDS * 1e9)


@dataclass(frozen=True)
class Anomaly:
    """Something out of the ordinary, with the lines of the history that show it."""

    kind: str
    text: str
    lines: tuple[dict[str, Any], ...] = ()

    @property
    def violation(self) -> bool:
        """Whether the lock broke a promise."""
        return self.kind in VIOLATIONS


@dataclass
class Section:
    """From `enter` until `exit`, or until the process was gone; a paused process is still in it."""

    enter: dict[str, Any]
    end: dict[str, Any] | None = None
    leases: list[int] = field(default_factory=list)
    paused: bool = False

    @property
    def until(self) -> int:
        """When it ended; a process of which no end is known works for ever."""
        return int(self.end["at"]) if self.end else _NEVER

    def entitled(self, moment: int) -> bool:
        """Whether its lease ran at that moment; one that is drained and not timed is always entitled."""
        return not self.leases or any(ends - _LEASE_NS <= moment < ends for ends in self.leases)


def sections(histories: Histories) -> list[Section]:
    """All working sections in order of their beginning."""
    found: list[Section] = []
    inside: dict[int, Section] = {}
    for line in histories.of("enter", "exit", "holds", "gone", "paused"):
        pid = line["process"] if line["what"] in {"gone", "paused"} else line["pid"]
        if line["what"] == "enter":
            found.append(Section(line))
            inside[pid] = found[-1]
        section = inside.get(pid)
        if section is None:
            continue
        if line.get("lease_ends") is not None:
            section.leases.append(line["lease_ends"])
        section.paused |= line["what"] == "paused"
        if line["what"] in {"exit", "gone"}:
            section.end = line
            del inside[pid]
    return found


def overlaps(histories: Histories) -> Iterator[Anomaly]:
    """I1: nobody works while another does, unless it has slept or worked past its own lease."""
    by_key: dict[str, list[Section]] = {}
    for section in sections(histories):
        by_key.setdefault(section.enter["key"], []).append(section)
    for key, listed in by_key.items():
        for position, second in enumerate(listed):
            for first in listed[:position]:
                moment = second.enter["at"]
                if first.until <= moment:
                    continue
                stale = [s for s in (first, second) if not s.entitled(moment)]
                kind = "overlap" if not stale else "overlap_past_lease"
                if stale and any(s.paused for s in stale):
                    kind = "overlap_after_pause"
                text = f"{key}: {first.enter['owner']} still works when {second.enter['owner']} enters"
                yield Anomaly(kind, text, (first.enter, second.enter, *([first.end] if first.end else [])))


def tokens(histories: Histories) -> Iterator[Anomaly]:
    """I2: whoever enters got a greater token than everybody who entered before it had asked."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for line in histories.of("enter"):
        by_key.setdefault(line["key"], []).append(line)
    for key, entered in by_key.items():
        for one, other in combinations(entered, 2):
            if one["token"] == other["token"]:
                yield Anomaly("token_reused", f"{key}: token {one['token']} twice", (one, other))
        greatest = entered[0]
        for line in entered[1:]:
            if line["token"] < greatest["token"]:
                late = line["lease_ends"] is not None and line["lease_ends"] < line["at"]
                kind = "entered_past_lease" if late else "token_order"
                yield Anomaly(kind, f"{key}: {line['token']} after {greatest['token']}", (greatest, line))
            else:
                greatest = line


def writes(histories: Histories) -> Iterator[Anomaly]:
    """I3: no write is accepted after one with a greater token was; none is refused for nothing."""
    by_place: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in histories.of("write"):
        by_place.setdefault((line["key"], line["resource"]), []).append(line)
        if line["accepted"] is None:
            yield Anomaly("write_without_answer", f"{line['resource']}: {line['error']}", (line,))
    fences = _fences(histories)
    for (key, resource), listed in by_place.items():
        for line in listed:
            greater = [o for o in listed if o["token"] > line["token"]]
            text = f"{resource} of {key}: token {line['token']}"
            if line["accepted"]:
                accepted = [o for o in greater if o["accepted"] and o["at"] < line["began"]]
                if accepted:
                    yield Anomaly("stale_write_accepted", text, (accepted[0], line))
            elif line["accepted"] is False:
                if any(o["began"] < line["at"] for o in greater):
                    yield Anomaly(f"stale_write_refused_by_{resource}", text, (line,))
                elif resource == "transaction" and any(
                    sent < line["at"] and fence > line["token"] for sent, fence in fences.get(key, ())
                ):
                    yield Anomaly("stale_write_refused_by_transaction", text, (line,))
                else:
                    yield Anomaly("refused_without_reason", text, (line,))


def _fences(histories: Histories) -> dict[str, list[tuple[int, int]]]:
    """When each fence of each lock can have been reached, by the calls that were answered."""
    calls = linearizability.calls_of(histories)
    return {
        key: [(call.sent, call.item.fence) for call in listed if call.item is not None]
        for key, listed in calls.items()
    }


def postgres_order(order: dict[str, list[int]]) -> Iterator[Anomaly]:
    """PostgreSQL's own account: the tokens of the rows never go back."""
    for resource, listed in order.items():
        for before, after in pairwise(listed):
            if after < before:
                yield Anomaly("stale_write_accepted", f"postgres of {resource}: {after} after {before}")


def linearizable(histories: Histories) -> Iterator[Anomaly | linearizability.Verdict]:
    """The verdict on every lock, and an anomaly for one that no order explains."""
    for key, calls in linearizability.calls_of(histories).items():
        verdict = linearizability.check(key, calls)
        yield verdict
        if verdict.stuck_at is not None:
            text = f"{key}: no order explains {verdict.stuck_at}; possible were: {'; '.join(verdict.stories)}"
            yield Anomaly("not_linearizable", text)


def faults(histories: Histories) -> Iterator[Anomaly]:
    """What was done to the processes and what they met: expected, and counted all the same."""
    for line in histories.of("killed", "paused", "lost", "unavailable", "abandoned", "unanswered"):
        kind = line["what"]
        if kind == "lost":
            kind = line["fault"].replace(" ", "_")
        elif kind == "unanswered":
            kind = f"unanswered_{line['error']}"
        yield Anomaly(kind, str(line.get("operation") or line.get("process") or line.get("call")), (line,))
    for text in histories.torn:
        yield Anomaly("torn_line", text)


def count(histories: Histories, anomalies: list[Anomaly]) -> dict[str, int]:
    """How often everything happened."""
    counted: Counter[str] = Counter(line["what"] for line in histories.of("enter", "got", "refused", "woke"))
    counted.update(line["what"] for line in histories.of("write") if line["accepted"])
    counted["took_over"] = sum(bool(line["took_over"]) for line in histories.of("got"))
    counted.update(anomaly.kind for anomaly in anomalies)
    return dict(sorted(counted.items()))
