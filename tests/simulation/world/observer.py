"""Watches the working containers, knowing nothing of locks but what a container would show."""

from dataclasses import dataclass, field

from tests.simulation.world.timeline import Timeline


@dataclass
class Observer:
    """Who works behind which lock, with which token; and every rule that was broken.

    Attributes:
        violations: what must never be.
        finished: work that ended well: (run, step).
    """

    timeline: Timeline
    violations: list[str] = field(default_factory=list)
    finished: set[tuple[str, str]] = field(default_factory=set)
    entries: int = 0
    _inside: dict[str, set[str]] = field(default_factory=dict)
    _tokens: dict[str, int] = field(default_factory=dict)
    _shards: dict[str, str] = field(default_factory=dict)

    def enter(self, key: str, task: str, token: int) -> None:
        """A container begins to work."""
        self.timeline.note(task, f"works with token {token}")
        self.entries += 1
        inside = self._inside.setdefault(key, set())
        if inside:
            self._violate(f"{task} works behind lock {key} beside {', '.join(sorted(inside))}")
        if token <= self._tokens.get(key, 0):
            self._violate(f"{task} got token {token} of lock {key} after token {self._tokens[key]}")
        self._tokens[key] = max(token, self._tokens.get(key, 0))
        inside.add(task)

    def enter_shard(self, key: str, task: str, run: str) -> None:
        """A container of a fan-out begins to work: only others of its own fan-out may be inside."""
        self.timeline.note(task, "works on a shard")
        self.entries += 1
        inside = self._inside.setdefault(key, set())
        strangers = sorted(other for other in inside if self._shards.get(other) != run)
        if strangers:
            self._violate(f"{task} works behind lock {key} beside {', '.join(strangers)}")
        self._shards[task] = run
        inside.add(task)

    def leave(self, key: str, task: str) -> None:
        """It works no more, however that came."""
        self.timeline.note(task, "stops working")
        self._inside[key].discard(task)

    def overdue(self, task: str, seconds: float) -> None:
        """A container worked past its deadline and the stop grace."""
        self._violate(f"{task} worked {seconds:.0f} s past its deadline and grace")

    def given_back(self, key: str) -> None:
        """A lock became free, or the next one's. Nobody may be at work behind it any more."""
        if inside := sorted(self._inside.get(key, ())):
            self._violate(f"lock {key} was given back while {', '.join(inside)} worked")

    def succeeded(self, key: str, run: str, *, still_held: bool) -> None:
        """A run ended well. No event calls the janitor for it, so it must have given its lock back itself."""
        if still_held:
            self._violate(f"{run} ended well and kept lock {key}")

    def working(self) -> list[str]:
        """The tasks that work now."""
        return sorted(task for inside in self._inside.values() for task in inside)

    def _violate(self, what: str) -> None:
        self.timeline.note("OBSERVER", f"VIOLATION: {what}")
        self.violations.append(what)
