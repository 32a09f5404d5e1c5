"""Each rule of the lock, removed. Every one must be found unsafe, or it would not be a rule.

A mutant changes either what an operation does (`rules`, around the product's own) or what the processes do
(`without`). Its scene names the faults that it takes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from lock.events import Acquire, Claim, Event, HandOff, ReArm, Release, ReleaseByFence, TakeOver
from lock.model import LockItem
from lock.rules import Reply, apply
from tests.model import programs
from tests.model.items import KEY, Rules
from tests.model.programs import Programs
from tests.model.runs import Runs
from tests.model.search import World
from tests.model.world import Scene


@dataclass(frozen=True)
class Mutant:
    """A rule removed.

    Attributes:
        rule: its number in `docs/lock/safety.md`.
        name: what is left out.
        breaks: the promise that falls.
        scene: where it falls.
    """

    rule: str
    name: str
    breaks: str
    scene: Scene | programs.Scene = field(default_factory=Scene)

    def world(self) -> World:
        """The world to search."""
        return Runs(self.scene) if isinstance(self.scene, Scene) else Programs(self.scene)


def altered(change: Callable[[LockItem, Event], tuple[LockItem, Event]]) -> Rules:
    """The product's rules, of which a condition is taken out by making it true beforehand."""

    def rules(item: LockItem | None, event: Event) -> Reply:
        if item is None:
            return apply(item, event, key=KEY)
        seen_as, sent_as = change(item, event)
        reply = apply(seen_as, sent_as, key=KEY)
        return reply if reply.accepted else Reply(item, accepted=False)

    return rules


def _claimed_again(item: LockItem, event: Event) -> tuple[LockItem, Event]:
    if isinstance(event, Claim) and item.holder is not None:
        return replace(item, holder=replace(item.holder, task_arn=None, grant_fence=None)), event
    return item, event


def _any_fence(kind: type[Event]) -> Rules:
    def change(item: LockItem, event: Event) -> tuple[LockItem, Event]:
        if isinstance(event, kind) and isinstance(event, TakeOver | ReleaseByFence | HandOff | ReArm):
            return item, replace(event, fence=item.fence)
        return item, event

    return altered(change)


def _any_task(item: LockItem, event: Event) -> tuple[LockItem, Event]:
    if isinstance(event, Release) and item.holder is not None:
        return item, replace(event, task_arn=item.holder.task_arn)
    return item, event


def _written_over(item: LockItem, event: Event) -> tuple[LockItem, Event]:
    own = isinstance(event, Acquire) and item.holder is not None and item.holder.owner == event.holder.owner
    return (replace(item, holder=None) if own else item), event


def _any_run_key(item: LockItem, event: Event) -> tuple[LockItem, Event]:
    return (replace(item, last_run_key=None) if isinstance(event, Acquire) else item), event


def _over_the_line(item: LockItem, event: Event) -> Reply:
    """Release and take-over that do not look at the queue, and leave it where it is."""
    if isinstance(event, ReleaseByFence | Release | TakeOver) and item.queue:
        seen_as = replace(item, queue=(), queue_ids=frozenset())
        if isinstance(event, TakeOver):
            event = replace(event, head=None)
        reply = apply(seen_as, event, key=KEY)
        if reply.accepted and reply.item is not None:
            kept = replace(reply.item, queue=item.queue, queue_ids=item.queue_ids)
            return Reply(kept, accepted=True)
        return Reply(item, accepted=False)
    return apply(item, event, key=KEY)


def _queue_ignored(item: LockItem | None, event: Event) -> Reply:
    return apply(item, event, key=KEY) if item is None else _over_the_line(item, event)


def _given_to_one_that_left(item: LockItem, event: Event) -> tuple[LockItem, Event]:
    if isinstance(event, HandOff):
        return replace(item, queue_ids=item.queue_ids | {event.head}), event
    return item, event


def _seeded_from_one(item: LockItem | None, event: Event) -> Reply:
    if item is None and isinstance(event, Acquire):
        return apply(item, replace(event, now=1), key=KEY)
    return apply(item, event, key=KEY)


def _ttl_kept(item: LockItem | None, event: Event) -> Reply:
    reply = apply(item, event, key=KEY)
    if item is not None and isinstance(event, Acquire) and reply.accepted and reply.item is not None:
        return Reply(replace(reply.item, ttl=item.ttl), accepted=True)
    return reply


def mutant(rule: str, name: str, breaks: str = "I1", **scene: object) -> Mutant:
    """A mutant whose search looks for the one promise that it should break."""
    faults = scene.pop("faults", {})
    made = Scene(promises=frozenset({breaks}), faults=faults, **scene)  # type: ignore[arg-type]
    return Mutant(rule, name, breaks, made)


def direct(rule: str, name: str, breaks: str = "I1", **scene: object) -> Mutant:
    """The same among programs that hold the lock themselves, in a world with time."""
    made = programs.Scene(promises=frozenset({breaks}), **scene)  # type: ignore[arg-type]
    return Mutant(rule, name, breaks, made)


def _any_lease(item: LockItem, event: Event) -> tuple[LockItem, Event]:
    if isinstance(event, TakeOver) and item.lease_expires_at is not None:
        return item, replace(event, lease=item.lease_expires_at)
    return item, event


def left_out(*names: str) -> frozenset[str]:
    """What processes do not do."""
    return frozenset(names)


MUTANTS = (
    mutant("1", "a container works without claiming", without=left_out("claim"), faults={"double": 1}),
    mutant(
        "2",
        "the holder does not recognise itself after a lost reply",
        "I5",
        without=left_out("recognise what is mine"),
        faults={"lost": 1},
    ),
    mutant(
        "3", "a grant may be claimed by several tasks", rules=altered(_claimed_again), faults={"double": 1}
    ),
    mutant(
        "4a",
        "a take-over does not name the fence that was read",
        rules=_any_fence(TakeOver),
        faults={"abort": 1},
    ),
    mutant(
        "4b",
        "a re-arm does not name the fence that was read",
        rules=_any_fence(ReArm),
        faults={"timeout": 1, "double": 1},
    ),
    mutant(
        "4c",
        "a clean-up does not name the fence that was read",
        rules=_any_fence(ReleaseByFence),
        faults={"abort": 1, "redrive": 1, "sweep": 1},
    ),
    mutant(
        "5a",
        "the old task is stopped first, then the lock taken over",
        without=left_out("take over first"),
        rules=_any_fence(TakeOver),
        faults={"abort": 1},
    ),
    mutant(
        "5b",
        "nobody waits until the old task is STOPPED",
        without=left_out("await STOPPED"),
        faults={"abort": 1},
    ),
    mutant(
        "6",
        "the clean-up frees the lock without stopping the task",
        without=left_out("sweep stops tasks"),
        faults={"abort": 1, "sweep": 1},
    ),
    mutant(
        "7",
        "a take-over does not write down the old task",
        without=left_out("stale_tasks"),
        runs=("skip", "skip", "skip"),
        attempts=1,
        faults={"abort": 2},
    ),
    mutant(
        "8",
        "a release does not name the task that ended",
        rules=altered(_any_task),
        faults={"late": 1, "double": 1, "lost": 1},
    ),
    mutant(
        "9",
        "one that finds the lock its own goes on without draining",
        without=left_out("drain when already mine"),
        faults={"lost": 1, "abort": 1},
    ),
    mutant(
        "10",
        "acquiring writes over one's own holder",
        rules=altered(_written_over),
        faults={"late": 1, "abort": 1},
    ),
    mutant(
        "12", "a finished run key is accepted again", "I11", rules=altered(_any_run_key), keys=("k1", "k1")
    ),
    mutant(
        "13",
        "release and take-over do not look at the line",
        "I6",
        rules=_queue_ignored,
        runs=("skip", "wait"),
    ),
    mutant(
        "14",
        "the lock is handed to one that left the line",
        "I6",
        rules=altered(_given_to_one_that_left),
        without=left_out("line of those who wait"),
        runs=("skip", "wait"),
    ),
    mutant("15", "a new item's fence begins at one", "I2", rules=_seeded_from_one, faults={"delete": 1}),
    mutant("16", "a lock in use keeps its ttl", "I8", rules=_ttl_kept, faults={"collect": 1}),
    mutant(
        "23",
        "a container of a fan-out does not verify the grant",
        without=left_out("verify"),
        shards=1,
        resumed=True,
        faults={"abort": 1},
    ),
    mutant(
        "24",
        "only the task that the row names is drained, not its group",
        without=left_out("drain the group"),
        shards=1,
        resumed=True,
        faults={"abort": 1},
    ),
    mutant(
        "25a",
        "a run drains its fan-out without revoking the grant first",
        without=left_out("revoke after a fan-out"),
        shards=1,
        resumed=True,
        faults={"timeout": 1},
    ),
    mutant(
        "25b",
        "the clean-up drains without revoking an unclaimed grant first",
        without=left_out("revoke before the clean-up"),
        shards=1,
        resumed=True,
        faults={"abort": 1, "sweep": 1},
    ),
    mutant(
        "26",
        "a resumed run fans out on the grant that it acquired, without a re-arm",
        without=left_out("re-arm before a fan-out"),
        attempts=1,
        shards=1,
        resumed=True,
        faults={"abort": 1, "redrive": 1, "lost": 1, "sweep": 1},
    ),
    direct(
        "17",
        "a take-over does not name the lease that was read",
        rules=altered(_any_lease),
        renewals=True,
        clocks=(0, 0),
        skew=0,
        lease=2,
        until=4,
    ),
    direct(
        "18",
        "a lease is judged without allowance for clocks",
        without=left_out("allowance for clocks"),
        lease=2,
        until=4,
    ),
    direct(
        "19",
        "a holder counts its lease from the reply",
        without=left_out("count from before the request"),
        clocks=(0, 0),
        skew=0,
        lease=2,
        until=4,
    ),
    direct(
        "20",
        "a waiter works on the short lease it was handed",
        without=left_out("renew what was handed over"),
        policies=("skip", "wait", "skip"),
        clocks=(0, 0, 0),
        skew=0,
        grace=1,
        until=2,
    ),
    direct(
        "21",
        "the resource does not compare tokens",
        "I3",
        without=left_out("resource compares"),
        faults={"pause": 1},
        lease=2,
        skew=0,
        clocks=(0, 0),
        until=4,
    ),
    direct(
        "22",
        "a new holder does not show its token before its first use",
        "I3",
        without=left_out("show the token first"),
        faults={"pause": 1},
        lease=2,
        skew=0,
        clocks=(0, 0),
        until=4,
    ),
)
