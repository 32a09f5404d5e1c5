"""How one host is treated: never more than so many requests at once, fewer when it asks for less."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tasks.jobs.articles.probe import Ask, Probe, Trouble

# What says something about the host and not about one file.
_HOST_TROUBLE: Final = {Trouble.TIMEOUT, Trouble.DNS, Trouble.TLS, Trouble.REFUSED, Trouble.RESET}

# Seconds over which a host's rate is counted, and the least of them that a rate is taken from.
_WINDOW: Final = 5.0
_SHORTEST: Final = 0.2
_LEAST_RATE: Final = 0.5
# The part of a host's rate that is left to each process that does not own it.
_LITTLE: Final = 10


@dataclass(frozen=True, slots=True)
class Politeness:
    """Limits for a host.

    `processes` share the pictures, each its own hosts; `own` are those of this one (None: all hosts), and
    redirects may lead to others: what a host may be asked by all of them together stays within its limits.
    `failures_to_open` pictures that fail one after another, with no success since they were asked for, mean
    that the host is down: nothing is asked of it for `cooldown` seconds, then one picture is tried; after
    `trials` such tries in vain it is given up for this run. `rate` is requests a second (0: as they come);
    `special` holds the connections of hosts that have a number of their own, such as the site's own. When
    requests that came to nothing have taken `wasted_seconds` together, the host is given up too: a tar pit
    that answers now and then is one.
    """

    connections: int = 8
    rate: float = 0.0
    special: Mapping[str, int] = field(default_factory=dict)
    wasted_seconds: float = 1200.0
    failures_to_open: int = 8
    cooldown: float = 5.0
    trials: int = 2
    processes: int = 1
    own: frozenset[str] | None = None

    def connections_to(self, host: str) -> int:
        """How many requests to `host` this process may make at once."""
        most = self.special.get(host, self.connections)
        others = self.processes - 1
        if self.own is None or not others:
            return most
        return max(1, most - others) if host in self.own else 1

    def rate_to(self, host: str) -> float:
        """Requests a second to `host` by this process; 0: as they come."""
        if self.own is None:
            return self.rate
        little = self.rate / max(_LITTLE, self.processes)
        return self.rate - little * (self.processes - 1) if host in self.own else little


class Host:
    """The state of one host. Times are monotonic seconds."""

    def __init__(self, name: str, politeness: Politeness) -> None:
        self.name = name
        self.waiting: deque[tuple[Probe, Ask | None]] = deque()
        self.active = 0
        self.queued = False  # whether it waits for its turn
        self.after_id = 0
        self.exhausted = False
        self.paused_until = 0.0
        self.given_up = False
        self.last_trouble = ""
        self._politeness = politeness
        self._most = politeness.connections_to(name)
        self._limit = float(self._most)
        self.both_ends = True
        self._given_rate = self._rate = politeness.rate_to(name)
        self._ceiling = 0.0
        self._next_start = 0.0
        self._slowed_at = float("-inf")
        self._counted_since = 0.0
        self._counted = 0
        self._wasted = 0.0
        self._failing: set[str] = set()
        self._trials = 0
        self._open = False
        self._last_success = float("-inf")

    def may_start(self, now: float) -> bool:
        """Whether one more request may be made now."""
        if now < self.paused_until or now < self._next_start:
            return False
        if self._open:
            return self.active < 1
        if self._failing and self.active + len(self._failing) >= self._politeness.failures_to_open:
            return False  # those under way will tell whether it is down
        return self.active < max(1, int(self._limit))

    @property
    def rate(self) -> float:
        """Requests a second that may be made now; 0: as they come."""
        return self._rate

    @property
    def may_start_at(self) -> float:
        """When the next request may be made, as far as time goes."""
        return max(self.paused_until, self._next_start)

    def started(self, now: float) -> None:
        """A request is made now."""
        self.active += 1
        if self._rate:
            self._next_start = max(now, self._next_start) + 1 / self._rate
        elif now - self._counted_since > _WINDOW:
            self._counted_since, self._counted = now, 1
        else:
            self._counted += 1

    def succeeded(self, now: float) -> None:
        """The host answered something, good or bad."""
        self._last_success = now
        if self._failing or self._open:
            self._failing.clear()
            self._trials = 0
            self._open = False
        if self._limit < self._most:
            self._limit = min(self._most, self._limit + 1 / max(1.0, self._limit))
        if self._rate and self._rate != self._given_rate:
            self._rate += 1 / self._rate  # one request a second more, every second
            if self._rate >= (self._given_rate or self._ceiling):
                self._rate = self._given_rate

    def asked_for_less(self, now: float, seconds: float, asked_at: float = float("inf")) -> None:
        """429 or 503: half the connections, half the rate, and nothing at all for `seconds`.

        Answers to requests that were made before the last such cut say nothing new.
        """
        self.paused_until = max(self.paused_until, now + seconds)
        if asked_at <= self._slowed_at:
            return
        self._slowed_at = now
        self._limit = max(1.0, self._limit / 2)
        measured = self._counted / max(now - self._counted_since, _SHORTEST)
        if not self._rate:
            self._ceiling = 2 * measured
        self._rate = max(_LEAST_RATE, (self._rate or measured) / 2)
        self._next_start = max(self._next_start, now + 1 / self._rate)

    def failed(self, trouble: Trouble, url: str, asked_at: float, now: float) -> None:
        """No answer for the picture `url`.

        Counts against the host only if nothing has succeeded since the request was made, and once for each
        picture, however often it is tried.
        """
        if trouble is Trouble.TIMEOUT and asked_at <= now:
            self._wasted += now - asked_at
            if self._wasted > self._politeness.wasted_seconds:
                self.given_up, self.last_trouble = True, "it kept too many requests waiting"
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
