"""What is due when, over restarts and changes of definitions. Synchronous; no I/O but the store."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from nightlatch.schedules import Rate, ScheduleError, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nightlatch.local.events.store import Store
    from nightlatch.schedules import Expression
    from statemachine.interpreter import Clock

MOMENT = 0.001
"""Just before: less than any distance between two firings, more than a datetime rounds away."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Timer:
    """Something that fires by an expression: a schedule or a scheduled rule.

    Attributes:
        arn: Names it.
        expression: ``cron``, ``rate`` or ``at``.
        timezone: Of the expression.
        enabled: Whether it fires.
        created: Epoch seconds, if known.
        start: Nothing fires before (epoch seconds).
        end: Nothing fires after (epoch seconds).
        max_age: A firing that was missed by more than this many seconds is not made up for.
        fires_at_once: Whether a ``rate`` fires first at its anchor (Scheduler) or one interval later (rules).
        definition: What whoever fires it needs.
    """

    arn: str
    expression: str
    timezone: str
    enabled: bool
    created: float | None
    start: float | None
    end: float | None
    max_age: float
    fires_at_once: bool
    definition: dict[str, Any] = field(compare=False)

    @property
    def rhythm(self) -> str:
        """What decides when it fires. Another rhythm begins a new count."""
        return json.dumps([self.expression, self.timezone, self.start])


@dataclass
class _Entry:
    timer: Timer
    expression: Expression
    anchor: float
    checked: float
    next_at: float = math.inf

    def saved(self) -> dict[str, Any]:
        return {
            "rhythm": self.timer.rhythm,
            "enabled": self.timer.enabled,
            "anchor": self.anchor,
            "checked": self.checked,
        }


class Timetable:
    """Knows the timers and tells which are due.

    After downtime, of all the firings that a timer missed only the last is due, and only while it is not
    older than the timer's ``max_age``: one made-up run is useful, a storm of them is not.

    Args:
        store: Remembers up to when each timer was looked at.
        clock: The time of day.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    def replace(self, timers: Iterable[Timer]) -> None:
        """Take over the timers as they are defined now."""
        now, known = self._clock.now(), self._store.timers()
        entries = {}
        for timer in timers:
            old = self._entries.get(timer.arn)
            if old is not None and old.timer == timer:
                old.timer = timer  # the definition may be another
                entries[timer.arn] = old
                continue
            entry = self._entry(timer, known.get(timer.arn), now)
            if entry is not None:
                entries[timer.arn] = entry
        for arn in known.keys() - {timer.arn for timer in timers}:
            self._store.forget_timer(arn)
        self._entries = entries

    def next_at(self) -> float:
        """When something is due next (epoch seconds); infinity for never."""
        return min((entry.next_at for entry in self._entries.values()), default=math.inf)

    def due(self) -> Iterator[tuple[Timer, float, dict[str, Any]]]:
        """What is due now: the timer, the scheduled time, and what to put on file with its deliveries."""
        now = self._clock.now()
        for entry in list(self._entries.values()):
            if entry.next_at > now:
                continue
            last, missed = entry.next_at, 0
            for moment in _times(entry, entry.next_at):
                if moment > now:
                    break
                last, missed = moment, missed + 1
            entry.checked = last
            _find_next(entry)
            late = now - last
            if missed or late > entry.timer.max_age:
                _log.warning(
                    "firings missed", schedule=entry.timer.arn, skipped=missed, late_seconds=round(late)
                )
            if late <= entry.timer.max_age:
                yield entry.timer, last, entry.saved()
            else:
                self._store.put_timer(entry.timer.arn, entry.saved())

    def finished(self, arn: str) -> bool:
        """Whether an enabled timer will never fire again."""
        entry = self._entries.get(arn)
        return entry is not None and entry.timer.enabled and entry.next_at == math.inf

    def finished_timers(self) -> list[Timer]:
        """The timers that will never fire again."""
        return [entry.timer for arn, entry in self._entries.items() if self.finished(arn)]

    def _entry(self, timer: Timer, known: dict[str, Any] | None, now: float) -> _Entry | None:
        created = now if timer.created is None else min(timer.created, now)
        if known is None:
            anchor = float(math.floor(created if timer.start is None else timer.start))
            checked = anchor - MOMENT if timer.fires_at_once else created
        elif known["rhythm"] != timer.rhythm:
            # Changed: a new count from now on; what the old rhythm missed is not made up for.
            anchor, checked = float(math.floor(now if timer.start is None else timer.start)), now
        elif known["enabled"] != timer.enabled:
            anchor, checked = known["anchor"], now
        else:
            anchor, checked = known["anchor"], known["checked"]
        try:
            expression = parse(timer.expression, timer.timezone, anchor=datetime.fromtimestamp(anchor, UTC))
        except ScheduleError as error:
            _log.error("schedule never fires", schedule=timer.arn, reason=str(error))
            return None
        if known is None and not isinstance(expression, Rate):
            checked = created
        elif known is None and not timer.fires_at_once:
            checked = anchor
        entry = _Entry(timer, expression, anchor, checked)
        _find_next(entry)
        self._store.put_timer(timer.arn, entry.saved())
        return entry


def _find_next(entry: _Entry) -> None:
    entry.next_at = next(_times(entry, entry.checked), math.inf)


def _times(entry: _Entry, after: float) -> Iterator[float]:
    """The times an entry fires at, after a moment and within its start and end."""
    timer = entry.timer
    if not timer.enabled:
        return
    # "EventBridge Scheduler ignores StartDate (EndDate) for one-time schedules" (API reference).
    start = None if entry.expression.once else timer.start
    end = None if entry.expression.once else timer.end
    if start is not None:
        after = max(after, start - MOMENT)
    for moment in entry.expression.times(datetime.fromtimestamp(after, UTC)):
        seconds = moment.timestamp()
        if end is not None and seconds > end:
            return
        if seconds > after:
            yield seconds
