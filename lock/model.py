"""The lock item as values, and its form in DynamoDB JSON.

One item per lock key. Times are epoch milliseconds, except `ttl`, which DynamoDB wants in seconds.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from lock.errors import ItemError

Attributes = Mapping[str, Mapping[str, Any]]
"""An item or map in DynamoDB JSON: `{"fence": {"N": "1"}}`."""

FREE_ITEM_DAYS: Final = 30
"""A free item may be collected by DynamoDB's TTL this many days after its release."""


class Kind(StrEnum):
    """What a holder is, and so who can say whether it lives."""

    SFN = "sfn"
    """A Step Functions execution: DescribeExecution answers."""
    ECS = "ecs"
    """An ECS task that holds by itself: only the lease answers."""
    CLI = "cli"
    """A process that holds by itself: only the lease answers."""


class _Member(NamedTuple):
    name: str
    is_number: bool
    is_required: bool


_MEMBERS: Final[dict[type, tuple[_Member, ...]]] = {}


def _members(kind: type["_Record"]) -> tuple[_Member, ...]:
    """Asked of the dataclass once: every request encodes and decodes records, and `fields` is slow."""
    if kind not in _MEMBERS:
        _MEMBERS[kind] = tuple(
            _Member(f.name, "int" in str(f.type), f.default is MISSING) for f in fields(kind)
        )
    return _MEMBERS[kind]


@dataclass(frozen=True, slots=True)
class _Record:
    """A flat map of texts, numbers and nothing else; absent members are None and not stored."""

    def encode(self) -> dict[str, dict[str, str]]:
        """The map's content in DynamoDB JSON."""
        values = ((member.name, getattr(self, member.name)) for member in _members(type(self)))
        return {
            name: {"N": str(value)} if isinstance(value, int) else {"S": str(value)}
            for name, value in values
            if value is not None
        }

    @classmethod
    def decode(cls, attributes: Attributes, key: str) -> Self:
        """Read a map; members of a later version are ignored.

        Raises:
            ItemError: a member is missing or has another type.
        """
        known: dict[str, Any] = {}
        for name, is_number, is_required in _members(cls):
            if name in attributes:
                ((tag, value),) = attributes[name].items()
                if tag != ("N" if is_number else "S"):
                    raise ItemError(key, f"{name} has type {tag}")
                known[name] = int(value) if is_number else value
            elif is_required:
                raise ItemError(key, f"{cls.__name__.lower()} has no {name}")
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleTask(_Record):
    """What an earlier holder may have left running: a task, or all tasks of a family with this group."""

    task_arn: str | None = None
    family: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder(_Record):
    """Who holds the lock, or waits for it.

    Attributes:
        owner: execution ARN, or `cli:host:pid:uuid`.
        kind: one of `Kind`.
        grant: random; the right of one attempt, claimed by one task.
        job: name of the job, or of the program.
        acquired_at: when it asked: the acquire, or the moment it joined the queue.
        run_key: the scheduled time, or a request's id; None if the run has none.
        task_arn: the task that claimed the grant; None before the claim and for direct holders.
        claimed_at: when it claimed.
        grant_fence: the fence before the claim; makes a repeated claim return the same token.
        heartbeat_at: last renewal.
        lease_ms: length of the lease it asked for.
        host: where a direct holder runs.
        reason: why it has the lock, if that is not plain: a take-over and its cause.
        family: task definition family of the attempt, to find a task that has not claimed.
        group: ECS group of every task of the run.
    """

    owner: str
    kind: str
    grant: str
    job: str = ""
    acquired_at: int | None = None
    run_key: str | None = None
    task_arn: str | None = None
    claimed_at: int | None = None
    grant_fence: int | None = None
    heartbeat_at: int | None = None
    lease_ms: int | None = None
    host: str | None = None
    reason: str | None = None
    family: str | None = None
    group: str | None = None

    @property
    def run(self) -> str:
        """The execution's name, or the whole owner where it is no execution."""
        return self.owner.rsplit(":", 1)[-1] if self.kind == Kind.SFN else self.owner

    @property
    def traces(self) -> StaleTask | None:
        """What must be STOPPED before anybody else runs; None for a direct holder."""
        if self.task_arn is None and self.family is None and self.group is None:
            return None
        return StaleTask(task_arn=self.task_arn, family=self.family, group=self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun(_Record):
    """Who held the lock last.

    Attributes:
        owner: of the run that ended.
        grant: its grant: lets it recognise its own release.
        outcome: how it ended, in the words of the runs table, or `released`, `forced`.
        at: when.
        job: of the run that ended.
        fence: the fence it was released at, where the releaser knew it.
        run_key: of the run that ended.
        by: who released it, if not the owner.
        reason: why, if not the owner.
    """

    owner: str
    grant: str
    outcome: str
    at: int
    job: str | None = None
    fence: int | None = None
    run_key: str | None = None
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockItem:
    """One lock. `holder` None means free.

    Attributes:
        lock_key: the partition key.
        fence: grows with every change of ownership, and survives release; the tokens come from it.
        holder: who holds it.
        lease_expires_at: set and removed together with the holder.
        stale_tasks: tasks that must be STOPPED before anybody runs.
        queue: who waits, in order; entries that left stay until they are first.
        queue_ids: grants of those that still wait.
        last: who held it before.
        last_run_key: the latest run key that is done.
        ttl: epoch seconds; only on free items.
    """

    lock_key: str
    fence: int
    holder: Holder | None = None
    lease_expires_at: int | None = None
    stale_tasks: tuple[StaleTask, ...] = ()
    queue: tuple[Holder, ...] = ()
    queue_ids: frozenset[str] = frozenset()
    last: LastRun | None = None
    last_run_key: str | None = None
    ttl: int | None = None

    @property
    def token(self) -> int | None:
        """The holder's fencing token; None while it has not claimed."""
        if self.holder is None or (self.holder.task_arn is None and self.holder.traces is not None):
            return None
        return self.fence

    @property
    def held_since(self) -> int | None:
        """When the present holder got the lock; after a hand-off that is when the run before it ended."""
        if self.holder is None:
            return None
        if self.holder.acquired_at is None or self.last is None:
            return self.holder.acquired_at
        return max(self.holder.acquired_at, self.last.at)

    @property
    def waiting(self) -> tuple[Holder, ...]:
        """Those that still wait, in order."""
        return tuple(entry for entry in self.queue if entry.grant in self.queue_ids)

    @property
    def to_drain(self) -> tuple[StaleTask, ...]:
        """Everything on the row that must be STOPPED before a new attempt, or before freeing it."""
        traces = self.holder.traces if self.holder else None
        return (*self.stale_tasks, traces) if traces else self.stale_tasks

    def encode(self) -> dict[str, dict[str, Any]]:
        """The whole item in DynamoDB JSON."""
        item: dict[str, dict[str, Any]] = {"lock_key": {"S": self.lock_key}, "fence": {"N": str(self.fence)}}
        if self.holder:
            item["holder"] = {"M": self.holder.encode()}
        if self.lease_expires_at is not None:
            item["lease_expires_at"] = {"N": str(self.lease_expires_at)}
        if self.stale_tasks:
            item["stale_tasks"] = {"L": [{"M": task.encode()} for task in self.stale_tasks]}
        if self.queue:
            item["queue"] = {"L": [{"M": entry.encode()} for entry in self.queue]}
        if self.queue_ids:
            item["queue_ids"] = {"SS": sorted(self.queue_ids)}
        if self.last:
            item["last"] = {"M": self.last.encode()}
        if self.last_run_key is not None:
            item["last_run_key"] = {"S": self.last_run_key}
        if self.ttl is not None:
            item["ttl"] = {"N": str(self.ttl)}
        return item

    @classmethod
    def decode(cls, attributes: Attributes) -> Self:
        """Read an item as GetItem or UpdateItem return it.

        Raises:
            ItemError: it is not an item of this lock.
        """
        key = str(attributes.get("lock_key", {}).get("S", ""))

        def typed(name: str, tag: str) -> Any:
            if name not in attributes:
                return None
            if tag not in attributes[name]:
                raise ItemError(key, f"{name} has type {next(iter(attributes[name]), 'none')}")
            return attributes[name][tag]

        if not key:
            raise ItemError(key, "it has no lock_key")
        fence = typed("fence", "N")
        if fence is None:
            raise ItemError(key, "it has no fence")
        holder, last = typed("holder", "M"), typed("last", "M")
        lease, ttl = typed("lease_expires_at", "N"), typed("ttl", "N")
        return cls(
            lock_key=key,
            fence=int(fence),
            holder=None if holder is None else Holder.decode(holder, key),
            lease_expires_at=None if lease is None else int(lease),
            stale_tasks=tuple(StaleTask.decode(e["M"], key) for e in typed("stale_tasks", "L") or ()),
            queue=tuple(Holder.decode(e["M"], key) for e in typed("queue", "L") or ()),
            queue_ids=frozenset(typed("queue_ids", "SS") or ()),
            last=None if last is None else LastRun.decode(last, key),
            last_run_key=typed("last_run_key", "S"),
            ttl=None if ttl is None else int(ttl),
        )
