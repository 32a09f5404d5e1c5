"""Checking many pictures at once: which host is asked next, what is asked again, and when to give up."""

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from tasks.jobs.articles.host import Host, Politeness
from tasks.jobs.articles.probe import Answer, Ask, Later, Patience, Probe
from tasks.jobs.articles.urls import host_of
from tasks.jobs.articles.verdicts import Finding, Verdict

_READ_AHEAD: Final = 100
_LONGEST_WAIT: Final = 0.2
# So many requests may begin before somebody looks whether to stop.
_STARTED_BLINDLY: Final = 16
_LESS: Final = {429, 503}


class Pictures(Protocol):
    """Where the pictures to check come from."""

    def hosts(self) -> list[str]:
        """The hosts with pictures to check."""

    def pending(self, host: str, after: int, limit: int) -> list[tuple[int, str, Finding | None]]:
        """The next pictures of a host, as (id, url, what is known of it), with ids above `after`."""


class Requests(Protocol):
    """What makes the requests."""

    @property
    def active(self) -> int:
        """How many are under way."""

    def start(self, ask: Ask, tag: object) -> None:
        """Begin one; its answer comes with `tag`."""

    async def wait(self, seconds: float) -> list[tuple[Any, float, Answer]]:
        """The next answers, as (tag, when it was asked, answer); none if there are none within `seconds`."""


class Checker:
    """Checks pictures until there is none left or `stop` says so.

    `found` is told of each finding: with the picture's id and its URL.
    """

    def __init__(
        self,
        pictures: Pictures,
        requests: Requests,
        *,
        most: int,
        politeness: Politeness,
        patience: Patience,
        stop: Callable[[], bool],
        found: Callable[[int, str, Finding], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pictures = pictures
        self._requests = requests
        self._clock = clock
        self._most = most
        self._politeness = politeness
        self._patience = patience
        self._stop = stop
        self._found = found
        self._hosts: dict[str, Host] = {}
        self._ready: deque[Host] = deque()
        self._later: list[tuple[float, int, Probe, Ask]] = []
        self._paused: list[tuple[float, int, Host]] = []
        self._sequence = itertools.count()

    async def check(self) -> None:
        """Check everything."""
        for name in self._pictures.hosts():
            self._offer(self._host(name))
        while not self._stop():
            self._start_what_may()
            if not self._requests.active and not self._ready and not self._later and not self._paused:
                return
            for (probe, host), asked_at, answer in await self._requests.wait(self._seconds_to_wait()):
                self._take(probe, host, asked_at, answer)

    # -- starting

    def _start_what_may(self) -> None:
        now = self._clock()
        if self._later or self._paused:
            self._end_pauses(now)
        active = self._requests.active
        while self._ready and active < self._most:
            if active % _STARTED_BLINDLY == 0 and self._stop():
                return
            host = self._ready.popleft()
            host.queued = False
            if host.given_up:
                self._give_up(host)
                continue
            if not host.may_start(now):
                if now < host.may_start_at:
                    self._pause(host)
                continue  # else it comes back when one of its requests ends
            work = self._next_of(host)
            if work is None:
                continue
            probe, further = work
            if further is None:
                probe.both_ends = host.both_ends
            ask = further or probe.start()
            host.started(now)
            self._requests.start(ask, (probe, host))
            active += 1
            if host.waiting or not host.exhausted:
                host.queued = True
                self._ready.append(host)

    def _end_pauses(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, probe, ask = heapq.heappop(self._later)
            self._enqueue(probe, ask)
        while self._paused and self._paused[0][0] <= now:
            host = heapq.heappop(self._paused)[2]
            host.queued = False
            self._offer(host)

    def _next_of(self, host: Host) -> tuple[Probe, Ask | None] | None:
        if not host.waiting and not host.exhausted:
            rows = self._pictures.pending(host.name, host.after_id, _READ_AHEAD)
            host.exhausted = len(rows) < _READ_AHEAD
            patience = self._patience
            host.waiting.extend((Probe(url, patience, known, number), None) for number, url, known in rows)
            if rows:
                host.after_id = rows[-1][0]
        return host.waiting.popleft() if host.waiting else None

    def _give_up(self, host: Host) -> None:
        """One finding about the host, said of each of its pictures, without asking for them."""
        while (work := self._next_of(host)) is not None:
            detail = f"{host.name} did not answer any more ({host.last_trouble})"
            self._found(work[0].number, work[0].url, Finding(Verdict.HOST_DOWN, detail=detail))
            if self._stop():
                return

    # -- taking answers

    def _take(self, probe: Probe, host: Host, asked_at: float, answer: Answer) -> None:
        now = self._clock()
        host.active -= 1
        if answer.trouble is None or answer.status:
            host.succeeded(now)
        else:
            host.failed(answer.trouble, probe.url, asked_at, now)
        outcome = probe.take(answer)
        if not probe.both_ends:
            host.both_ends = False
        if answer.status in _LESS:
            wanted = outcome.seconds if isinstance(outcome, Later) and outcome.for_host else 0.0
            host.asked_for_less(now, wanted, asked_at)
        if not host.queued:
            self._offer(host)
        if isinstance(outcome, Finding):
            self._found(probe.number, probe.url, outcome)
        elif isinstance(outcome, Later):
            heapq.heappush(self._later, (now + outcome.seconds, next(self._sequence), probe, outcome.ask))
        else:
            self._enqueue(probe, outcome)

    def _enqueue(self, probe: Probe, ask: Ask) -> None:
        """A further request of a probe goes before new pictures, to the host it is for."""
        host = self._host(host_of(ask.url))
        host.waiting.appendleft((probe, ask))
        self._offer(host)

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name, self._politeness)
        return host

    def _offer(self, host: Host) -> None:
        if not host.queued and (host.waiting or not host.exhausted):
            host.queued = True
            self._ready.append(host)

    def _pause(self, host: Host) -> None:
        host.queued = True
        heapq.heappush(self._paused, (host.may_start_at, next(self._sequence), host))

    def _seconds_to_wait(self) -> float:
        """Until something can be done: an answer, a second try, the end of a pause; or a look at `stop`."""
        now = self._clock()
        times = [queue[0][0] - now for queue in (self._later, self._paused) if queue]
        if self._ready and self._requests.active < self._most:
            return 0.0
        return max(0.0, min([_LONGEST_WAIT, *times]))
