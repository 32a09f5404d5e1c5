"""The progress line: how a job says how far it is.

One JSON object on one line of standard output::

    {"nightlatch":"progress","done":120,"total":4000,"phase":"check","message":"...","rate":53.2}

Only ``nightlatch`` and ``done`` are required. ``rate`` is in items a second.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

MARK: Final = "progress"
# A longer line is somebody's data, not progress.
LONGEST_LINE: Final = 16_384


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: `done` of `total` items (0 = not known) in `phase`, `rate` items a second."""

    done: int
    total: int = 0
    phase: str = ""
    message: str = ""
    rate: float | None = None

    @property
    def fraction(self) -> float | None:
        """Share that is done, 0 to 1, or None while the total is not known."""
        return min(1.0, self.done / self.total) if self.total > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Expected time to the end of this phase, or None while it cannot be said."""
        if not self.rate or self.total <= 0:
            return None
        return max(0.0, (self.total - self.done) / self.rate)

    def line(self) -> str:
        """The line a job prints, without the line break."""
        members: dict[str, Any] = {"nightlatch": MARK, "done": self.done, "total": self.total}
        if self.phase:
            members["phase"] = self.phase
        if self.message:
            members["message"] = self.message
        if self.rate is not None:
            members["rate"] = round(self.rate, 3)
        return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def parse(line: str | bytes) -> Progress | None:
    """Read a line of a job's output; None if it is not a (well-formed) progress line."""
    mark = b'"nightlatch"' if isinstance(line, bytes) else '"nightlatch"'
    if len(line) > LONGEST_LINE or mark not in line:  # type: ignore[operator]  # both are of one kind
        return None
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict) or members.get("nightlatch") != MARK:
        return None
    done, total = _count(members.get("done")), _count(members.get("total", 0))
    if done is None or total is None:
        return None
    return Progress(
        done=done,
        total=total,
        phase=_text(members.get("phase")),
        message=_text(members.get("message")),
        rate=_rate(members.get("rate")),
    )


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 <= value < 2**63:
        return None
    return int(value)


def _rate(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < float("inf") else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
