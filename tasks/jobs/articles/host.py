"""How one host is treated: never more than so many requests at once, fewer when it asks for less."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from tasks.jobs.articles.probe import Ask, Probe, Trouble

# What says something about the host and not about one file.
_HOST_TROUBLE: Final = {Trouble.TIMEOUT, Trouble.DNS, Trouble.TLS, Trouble.REFUSED, Trouble.RESET}


@dataclass(frozen=True, slots=True)
class Politeness:
    """Limits for a host.

    `failures_to_open` pictures that fail one after another, with no success since they were asked for, mean
    that the host is down: nothing is asked of it for `cooldown` seconds, then one picture is tried; after
    `trials` such tries in vain it is given up for this run.
    """

    connections: int = 8
    failures_to_open: int = 8
    cooldown: float = 5.0
    trials: int = 2


class Host:
    """The state of one host. Times are monotonic seconds."""

    def __init__(self, name: str, politeness: Politeness) -> None:
        self.name = name
        self.waiting: deque[tuple[Probe, Ask]] = deque()
        self.active = 0
        self.after_id = 0
        self.exhausted = False
        self.paused_until = 0.0
        self.given_up = False
        self.last_trouble = ""
        self._politeness = politeness
        self._limit = float(politeness.connections)
        self._failing: set[str] = set()
        self._trials = 0
        self._open = False
        self._last_success = float("-inf")

    def may_start(self, now: float) -> bool:
        """Whether one more request may be made now."""
        if now < self.paused_until:
            return False
        return self.active < (1 if self._open else max(1, int(self._limit)))

    def succeeded(self, now: float) -> None:
        """The host answered something, good or bad."""
        self._last_success = now
        self._failing.clear()
        self._trials = 0
        self._open = False
        self._limit = min(self._politeness.connections, self._limit + 1 / max(1.0, self._limit))

    def asked_for_less(self, now: float, seconds: float) -> None:
        """429 or 503: half the connections, and nothing at all for `seconds`."""
        self._limit = max(1.0, self._limit / 2)
        self.paused_until = max(self.paused_until, now + seconds)

    def failed(self, trouble: Trouble, url: str, asked_at: float, now: float) -> None:
        """No answer for the picture `url`.

        Counts against the host only if nothing has succeeded since the request was made, and once for each
        picture, however often it is tried.
        """
        if trouble not in _HOST_TROUBLE or self._last_success >= asked_at:
            return
        self.last_trouble = trouble.value
        if self._open:
            self._trials += 1
            self.given_up = self._trials >= self._politeness.trials
            self.paused_until = now + (0.0 if self.given_up else self._politeness.cooldown)
            return
        self._failing.add(url)
        if len(self._failing) >= self._politeness.failures_to_open:
            self._open = True
            self.paused_until = now + self._politeness.cooldown
