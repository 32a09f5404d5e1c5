"""The spaces that are searched to the end: small ones in every test run, large ones by `make prove`."""

from dataclasses import dataclass, replace

from tests.model import programs, world
from tests.model.programs import Programs
from tests.model.runs import Runs
from tests.model.search import World
from tests.model.world import ALL_PROMISES, FAULTS

EVERY_FAULT = tuple(fault for fault in FAULTS if fault != "delete")
"""Deleting the item of a lock that is held has a space of its own: not every promise is kept then."""


@dataclass(frozen=True)
class Space:
    """A bounded space.

    Attributes:
        name: what happens in it.
        scene: its bounds.
    """

    name: str
    scene: world.Scene | programs.Scene

    def world(self) -> World:
        """The world to search."""
        return Runs(self.scene) if isinstance(self.scene, world.Scene) else Programs(self.scene)

    @property
    def bounds(self) -> str:
        """The bounds, in a few words."""
        faults = " ".join(f"{name}:{count}" for name, count in self.scene.faults.items()) or "no faults"
        if isinstance(self.scene, world.Scene):
            attempts = "one attempt" if self.scene.attempts == 1 else f"{self.scene.attempts} attempts"
            if self.scene.shards:
                attempts += f", {self.scene.shards} shard{'s' if self.scene.shards > 1 else ''}"
            return f"{len(self.scene.runs)} runs, {attempts} each; {faults}"
        return f"{len(self.scene.policies)} programs, time to {self.scene.until}; {faults}"


def _runs(
    name: str,
    policies: str = "skip skip",
    *,
    attempts: int = 2,
    shards: int = 0,
    resumed: bool = False,
    keys: tuple[str | None, ...] = (None, None, None),
    most: int = 99,
    **faults: int,
) -> Space:
    scene = world.Scene(
        runs=tuple(policies.split()),
        keys=keys,
        attempts=attempts,
        shards=shards,
        resumed=resumed,
        faults=faults,
        most=most,
    )
    if faults.get("delete"):
        # Whoever deletes a lock that is held takes it away; that two then work is not the lock's doing.
        scene = replace(scene, promises=ALL_PROMISES - {"I1", "I11"})
    return Space(name, scene)


def _programs(name: str, policies: str = "skip skip", *, faults: dict[str, int], **bounds: object) -> Space:
    return Space(name, programs.Scene(policies=tuple(policies.split()), faults=faults, **bounds))  # type: ignore[arg-type]


SMALL = (
    _runs("nothing goes wrong, three contenders in line", "wait wait wait", attempts=1),
    _runs("an execution is aborted, the sweep comes late", abort=1, sweep=1),
    _runs("lost and delayed writes", abort=1, lost=1, late=1),
    _runs("an aborted run is redriven", abort=1, redrive=1, late=1),
    _runs("RunTask doubles a task, an attempt times out", attempts=1, abort=1, double=1, timeout=1),
    _runs("two deliveries of one scheduled time", keys=("k1", "k1"), abort=1, fail=1),
    _runs("an aborted run in line", "wait wait", abort=1, lost=1),
    _runs("TTL collects, somebody deletes", collect=1, delete=1, fail=1),
    _runs("a fan-out after a plan, aborted", shards=1, abort=1),
    _runs("a fan-out is aborted, the sweep comes late", attempts=1, shards=1, resumed=True, abort=1, sweep=1),
    _runs("a fan-out times out, a write is late", attempts=1, shards=1, resumed=True, timeout=1, late=1),
    _programs("two programs, one is killed", faults={"crash": 1}, until=6),
    _programs("a paused program with renewals", faults={"pause": 1}, renewals=True, until=5, lease=2),
)

LARGE = (
    _runs("three in line, two are aborted, a sweep", "wait wait wait", attempts=1, abort=2, sweep=1),
    _runs("three contenders, two aborted", "skip skip skip", attempts=1, abort=2, late=1, lost=1),
    _runs("a key twice among three", "wait wait skip", attempts=1, keys=("k1", "k2", "k1"), late=1, abort=1),
    _runs("redrive, two aborts, a timeout, a late write", redrive=1, abort=2, late=1, timeout=1),
    _runs("stale answers, redrive, two aborts", stale=2, redrive=1, abort=2),
    _runs("stale answer, a dying task, abort, sweep", stale=1, fail=1, sweep=1, abort=1),
    _runs(
        "doubled task, late and lost writes, timeout",
        attempts=1,
        double=1,
        late=1,
        lost=1,
        timeout=1,
        abort=1,
    ),
    _runs("every fault, any three of them", most=3, **dict.fromkeys(EVERY_FAULT, 1)),
    _runs("every fault, any four of them", attempts=1, most=4, **dict.fromkeys(EVERY_FAULT, 1)),
    _runs("plan and fan-out, an abort, a sweep, a late write", shards=1, abort=1, sweep=1, late=1),
    _runs("plan and fan-out, a timeout, a lost write, a sweep", shards=2, timeout=1, lost=1, sweep=1),
    _runs("fan-outs, aborts, a redrive, a sweep", shards=1, resumed=True, abort=2, redrive=1, sweep=1),
    _runs(
        "fan-outs, a timeout, an abort, a late write, a sweep",
        attempts=1,
        shards=1,
        resumed=True,
        abort=1,
        timeout=1,
        late=1,
        sweep=1,
    ),
    _programs("a killed program, lost and late writes", faults={"crash": 1, "lost": 1, "late": 1}),
    _programs("two in line, one is killed", "wait wait", faults={"crash": 1, "lost": 1}),
    _programs(
        "three in line, one is killed", "wait wait wait", faults={"crash": 1}, until=4, lease=2, grace=1
    ),
    _programs(
        "pause, renewals, a kill", "skip wait", faults={"crash": 1, "pause": 1}, renewals=True, until=6
    ),
)

LIVENESS = (
    world.Scene(faults={"abort": 1, "sweep": world.UNLIMITED}),
    world.Scene(faults={"timeout": 1, "fail": 1, "sweep": world.UNLIMITED}, attempts=1),
    world.Scene(faults={"abort": 1, "redrive": 1, "sweep": world.UNLIMITED}, attempts=1),
    world.Scene(runs=("skip", "wait"), faults={"abort": 2, "sweep": world.UNLIMITED}, attempts=1),
    world.Scene(faults={"late": 1, "lost": 1, "sweep": world.UNLIMITED}, attempts=1),
    world.Scene(faults={"abort": 1, "sweep": world.UNLIMITED}, attempts=1, shards=1, resumed=True),
)
