"""Hosts in virtual time for the picture check: a clock that waiting moves, and what each host does."""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tasks.jobs.articles.checking import Checker
from tasks.jobs.articles.host import Politeness
from tasks.jobs.articles.probe import Answer, Ask, Patience, Trouble
from tasks.jobs.articles.urls import host_of
from tasks.jobs.articles.verdicts import Finding

GIF = b"GIF89a" + b"\0" * 20 + b";"
GOOD = Answer(200, {}, GIF, GIF, len(GIF))
TIMEOUT = Answer(trouble=Trouble.TIMEOUT)
REFUSED = Answer(trouble=Trouble.REFUSED)


@dataclass
class Behaviour:
    """What a host does: `answer` gives (seconds it takes, the answer) for the number of the request."""

    answer: Callable[["Seen", Ask], tuple[float, Answer]] = lambda _seen, _ask: (0.05, GOOD)


@dataclass
class Seen:
    """What one host has seen."""

    at: list[float] = field(default_factory=list)
    active: int = 0
    most_at_once: int = 0


class SimulatedHosts:
    """The world: pictures, hosts and time. It is `Pictures` and `Requests` for a Checker."""

    def __init__(self, pictures: dict[str, int], behaviours: dict[str, Behaviour] | None = None) -> None:
        self.now = 0.0
        self.seen: dict[str, Seen] = {}
        self.finished: dict[str, float] = {}
        self.most_at_once = 0
        self._pictures = pictures
        self._behaviours = behaviours or {}
        self._coming: list[tuple[float, int, str, Any, float, Answer]] = []
        self._sequence = itertools.count()

    # -- Pictures

    def hosts(self) -> list[str]:
        return sorted(self._pictures)

    def pending(self, host: str, after: int, limit: int) -> list[tuple[int, str, Finding | None]]:
        last = min(after + limit, self._pictures[host]) if host in self._pictures else 0
        return [(number, f"http://{host}/{number}.gif", None) for number in range(after + 1, last + 1)]

    # -- Requests

    @property
    def active(self) -> int:
        return len(self._coming)

    def start(self, ask: Ask, tag: object) -> None:
        host = host_of(ask.url)
        seen = self.seen.setdefault(host, Seen())
        seen.at.append(self.now)
        seen.active += 1
        seen.most_at_once = max(seen.most_at_once, seen.active)
        takes, answer = self._behaviours.get(host, Behaviour()).answer(seen, ask)
        heapq.heappush(self._coming, (self.now + takes, next(self._sequence), host, tag, self.now, answer))
        self.most_at_once = max(self.most_at_once, self.active)

    async def wait(self, seconds: float) -> list[tuple[Any, float, Answer]]:
        until = self.now + seconds
        if not self._coming or self._coming[0][0] > until:
            self.now = until
            return []
        answers = []
        self.now = max(self.now, self._coming[0][0])
        while self._coming and self._coming[0][0] <= self.now:
            _, _, host, tag, asked_at, answer = heapq.heappop(self._coming)
            self.seen[host].active -= 1
            answers.append((tag, asked_at, answer))
        return answers

    # -- the check

    def check(
        self,
        most: int = 100,
        politeness: Politeness | None = None,
        patience: Patience | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Counter[str]]:
        """Check everything; how many findings of which verdict each host got."""
        counted: dict[str, Counter[str]] = {}

        def found(_number: int, url: str, finding: Finding) -> None:
            host = host_of(url)
            counted.setdefault(host, Counter())[finding.verdict.value] += 1
            self.finished[host] = self.now

        checker = Checker(
            self,
            self,
            most=most,
            politeness=politeness or Politeness(),
            patience=patience or Patience(),
            stop=stop,
            found=found,
            clock=lambda: self.now,
        )
        asyncio.run(checker.check())
        return counted
