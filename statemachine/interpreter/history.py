"""The history of an execution: AWS's event types, order and links."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from statemachine.interpreter.clock import Clock
from statemachine.interpreter.failure import EventLimitReachedError

# A hard quota of Standard workflows (service quotas page).
EVENT_LIMIT = 25_000


@dataclass(frozen=True)
class HistoryEvent:
    """One event.

    Attributes:
        id: 1, 2, 3, … in order.
        previous_event_id: the event this one follows in its own branch; 0 for the first state too.
        timestamp: seconds since the epoch.
        type: AWS's name, e.g. `TaskStateEntered`.
        details: at most one member under AWS's name, e.g. `{"taskFailedEventDetails": {"error": …}}`.
    """

    id: int
    previous_event_id: int
    timestamp: float
    type: str
    details: dict[str, Any] = field(default_factory=dict)


class History:
    """Numbers the events of one execution and hands them on.

    Args:
        clock: dates the events.
        on_event: receives every event, synchronously and in order.
        limit: how many events an execution may have.
    """

    def __init__(
        self, clock: Clock, on_event: Callable[[HistoryEvent], None], *, limit: int = EVENT_LIMIT
    ) -> None:
        self._clock = clock
        self._on_event = on_event
        self._limit = limit
        self.count = 0
        self.closed = False

    def emit(self, previous: int, event_type: str, member: str = "", **details: Any) -> int:
        """Writes one event and returns its id; members that are None are left out.

        Raises:
            EventLimitReachedError: there is room for the closing event only.
        """
        if self.count >= self._limit - 1:
            raise EventLimitReachedError
        return self._write(previous, event_type, member, details)

    def close(self, previous: int, event_type: str, member: str = "", **details: Any) -> int:
        """Writes the event that ends the execution; there is always room for it."""
        self.closed = True
        return self._write(previous, event_type, member, details)

    def _write(self, previous: int, event_type: str, member: str, details: dict[str, Any]) -> int:
        self.count += 1
        shown = {name: value for name, value in details.items() if value is not None}
        self._on_event(
            HistoryEvent(
                self.count, previous, self._clock.now(), event_type, {member: shown} if member else {}
            )
        )
        return self.count
