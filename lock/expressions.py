"""Every write that may change a lock item, as DynamoDB expressions.

A state machine and a Python client must never disagree about who may run, so both use these very texts:
`statemachine/*.asl.json` holds copies, and a contract test compares them character by character. Nothing here
is put together at run time. Where an operation has two forms, each form has its own constant.

A placeholder is always `#` plus the attribute's name, so an expression can be read without its map, and the
map can be derived. Names are used for every attribute because `owner`, `ttl` and others are reserved words.
DynamoDB refuses an unused name or value, so each constant lists exactly the ones it needs.

What the values hold (DynamoDB types in brackets):

==================  =====================================================================================
`:holder`           [M] the holder to be: owner, kind, grant, job, acquired_at, and what else is known
`:exp`              [N] epoch ms at which the lease ends
`:now_ms`           [N] epoch ms; seeds the fence of a new item
`:now`              [N] epoch ms of a claim or a heartbeat
`:rk`               [S] this run's key, or `~`, which is greater than any time text, for a run without one
`:lrk`              [S] own run key if there is one, else the `last_run_key` as read, else the empty text
`:owner` `:grant`   [S] who asks, and with which single-use right
`:task`             [S] ARN of the one task that claimed this grant
`:fence`            [N] the fence as read; `:lease` the lease end as read; `:held_by` the owner as read
`:new_grant`        [S] the grant of the next attempt; `:family` its task definition family
`:old_task`         [L] what the old holder may have left: a map of task_arn, family, group; or empty
`:last`             [M] who ran last: owner, grant, outcome, at, and what else is known
`:ttl`              [N] epoch *seconds* after which a free item may be collected
`:entry`            [L] one map like `:holder`: the waiter; `:ids` [SS] the set of just its grant
`:head` `:ids`      [S] the grant of the queue's first entry, and [SS] the set of just that grant
`:max`              [N] how many may wait; `:one` [N] 1; `:empty` [L] the empty list
==================  =====================================================================================

Rule numbers in the comments are those of `docs/lock/safety.md`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

NO_RUN_KEY: Final = "~"
"""Sent as `:rk` by a run without a run key: greater than any ISO time, so one condition serves both."""

_NAME: Final = re.compile(r"#([a-z_]+)")
_VALUE: Final = re.compile(r":[a-z_]+")


@dataclass(frozen=True)
class Expression:
    """One conditional `UpdateItem`, without its values.

    Attributes:
        update: the UpdateExpression.
        condition: the ConditionExpression; no operation goes without one.
        names: the ExpressionAttributeNames, exactly those used.
        values: the placeholders for which a request must bring values, exactly those used.
    """

    update: str
    condition: str
    names: Mapping[str, str] = field(init=False)
    values: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        text = f"{self.update} {self.condition}"
        names = {f"#{name}": name for name in sorted(set(_NAME.findall(text)))}
        object.__setattr__(self, "names", MappingProxyType(names))
        object.__setattr__(self, "values", frozenset(_VALUE.findall(text)))


# Free → held, or tell me who holds it. Never refused because of a holder: `if_not_exists` leaves a holder
# as it is, and ReturnValues ALL_NEW names it, so one write answers "mine" and "whose", and a retry after a
# lost reply finds its own holder (rule 2). An own holder is not written again either: that would forget its
# task (rule 10). The fence is seeded with milliseconds so that deleting the item does not rewind the
# tokens. A lock in use has no ttl. The condition is the run key: a scheduled time that is done is not done
# twice (rule 12).
ACQUIRE: Final = Expression(
    update=(
        "SET #holder = if_not_exists(#holder, :holder), #fence = if_not_exists(#fence, :now_ms),"
        " #lease_expires_at = if_not_exists(#lease_expires_at, :exp) REMOVE #ttl"
    ),
    condition="attribute_not_exists(#last_run_key) OR #last_run_key < :rk",
)

# By the container, before any work; the returned fence is its token. A grant is claimed by one task only,
# so a doubled or late container is refused and ends without working (rules 1 and 3). The fence moves, so
# whoever read the item before the claim can no longer take over, re-arm or clean up (rule 4). `grant_fence`
# keeps the fence from before the first claim: a repeated claim of the same task returns the same token,
# whenever it lands.
CLAIM: Final = Expression(
    update=(
        "SET #holder.#task_arn = :task, #holder.#claimed_at = if_not_exists(#holder.#claimed_at, :now),"
        " #holder.#grant_fence = if_not_exists(#holder.#grant_fence, #fence),"
        " #fence = if_not_exists(#holder.#grant_fence, #fence) + :one"
    ),
    condition=(
        "#holder.#owner = :owner AND #holder.#grant = :grant"
        " AND (attribute_not_exists(#holder.#task_arn) OR #holder.#task_arn = :task)"
    ),
)

# By the claiming task. The fence stays, so a lost reply is harmless and renewing never collides with
# releasing.
RENEW: Final = Expression(
    update="SET #lease_expires_at = :exp, #holder.#heartbeat_at = :now",
    condition="#holder.#owner = :owner AND #holder.#grant = :grant AND #holder.#task_arn = :task",
)

# The same for a holder that works itself and has no task.
RENEW_DIRECT: Final = Expression(
    update="SET #lease_expires_at = :exp, #holder.#heartbeat_at = :now",
    condition=(
        "#holder.#owner = :owner AND #holder.#grant = :grant AND attribute_not_exists(#holder.#task_arn)"
    ),
)

# After a consistent read and then a death verdict. Conditional on the item exactly as read: a claim moves the
# fence (rule 4), a renewal moves the lease end. What the dead holder may have left running goes into
# stale_tasks in the same write, so a taker that dies in the middle forgets nothing (rule 7). Only when nobody
# waits: a newcomer does not overtake the queue.
TAKE_OVER: Final = Expression(
    update=(
        "SET #holder = :holder, #lease_expires_at = :exp, #fence = #fence + :one,"
        " #stale_tasks = list_append(if_not_exists(#stale_tasks, :empty), :old_task)"
    ),
    condition=(
        "#holder.#owner = :held_by AND #fence = :fence AND #lease_expires_at = :lease"
        " AND attribute_not_exists(#queue[0])"
    ),
)

# The same for the first waiter, who leaves the queue by it.
TAKE_OVER_AS_HEAD: Final = Expression(
    update=(
        "SET #holder = :holder, #lease_expires_at = :exp, #fence = #fence + :one,"
        " #stale_tasks = list_append(if_not_exists(#stale_tasks, :empty), :old_task)"
        " REMOVE #queue[0] DELETE #queue_ids :ids"
    ),
    condition=(
        "#holder.#owner = :held_by AND #fence = :fence AND #lease_expires_at = :lease"
        " AND #queue[0].#grant = :head"
    ),
)

# Before every further attempt, after everything on the row is STOPPED. The old grant is worth nothing from
# here on, and the fence as read shows that no claim slipped in since (rule 4). What was drained is
# forgotten.
RE_ARM: Final = Expression(
    update=(
        "SET #holder.#grant = :new_grant, #holder.#family = :family, #lease_expires_at = :exp,"
        " #fence = #fence + :one"
        " REMOVE #holder.#task_arn, #holder.#claimed_at, #holder.#grant_fence, #stale_tasks"
    ),
    condition="#holder.#owner = :owner AND #holder.#grant = :grant AND #fence = :fence",
)

# The same after an attempt that ended well, for the next step: the row must name the very task that RunTask
# reported as STOPPED, which spares the read (as in RELEASE, rule 8).
RE_ARM_AFTER_SUCCESS: Final = Expression(
    update=RE_ARM.update,
    condition="#holder.#owner = :owner AND #holder.#grant = :grant AND #holder.#task_arn = :task",
)

# The usual end: the task that RunTask reported as STOPPED is the one that claimed. Naming it is what
# refuses a release while a doubled container works behind a delayed duplicate (rule 8). `last` makes a
# repeated release recognisable. `last_run_key` stands by itself because a run without a key would overwrite
# it inside `last`.
RELEASE: Final = Expression(
    update=(
        "SET #fence = #fence + :one, #last = :last, #last_run_key = :lrk, #ttl = :ttl"
        " REMOVE #holder, #lease_expires_at, #stale_tasks, #queue, #queue_ids"
    ),
    condition=(
        "#holder.#owner = :owner AND #holder.#grant = :grant AND #holder.#task_arn = :task"
        " AND attribute_not_exists(#queue[0])"
    ),
)

# The usual end for a holder that works itself and has no task.
RELEASE_DIRECT: Final = Expression(
    update=RELEASE.update,
    condition=(
        "#holder.#owner = :owner AND #holder.#grant = :grant AND attribute_not_exists(#holder.#task_arn)"
        " AND attribute_not_exists(#queue[0])"
    ),
)

# Every other end (a failed run, the janitor, the sweep): consistent read, drain everything on the row, then
# this, conditional on the fence as read, so that a claim or re-arm in between is never undone (rules 4 and
# 6).
RELEASE_BY_FENCE: Final = Expression(
    update=RELEASE.update,
    condition="#holder.#owner = :held_by AND #fence = :fence AND attribute_not_exists(#queue[0])",
)

# Release with a waiter: to the first in the queue, never to free, so that a newcomer cannot barge in. After
# a read that showed the tracked task, or a drain. `queue_ids` holds the waiters that still wait: one that
# left is never given the lock. An entry is never changed, so `:exp` may be computed from it.
HAND_OFF: Final = Expression(
    update=(
        "SET #holder = #queue[0], #lease_expires_at = :exp, #fence = #fence + :one, #last = :last,"
        " #last_run_key = :lrk REMOVE #queue[0], #stale_tasks DELETE #queue_ids :ids"
    ),
    condition=(
        "#holder.#owner = :held_by AND #fence = :fence AND #queue[0].#grant = :head"
        " AND contains(#queue_ids, :head)"
    ),
)

# An operator who will not or cannot drain first. The old task stays on the row: whoever holds next drains it
# before running, so forcing a lock open does not by itself put two containers side by side (rule 7).
FORCE_RELEASE: Final = Expression(
    update=(
        "SET #fence = #fence + :one, #last = :last, #last_run_key = :lrk, #ttl = :ttl,"
        " #stale_tasks = list_append(if_not_exists(#stale_tasks, :empty), :old_task)"
        " REMOVE #holder, #lease_expires_at, #queue, #queue_ids"
    ),
    condition=RELEASE_BY_FENCE.condition,
)

# The same while somebody waits.
FORCE_HAND_OFF: Final = Expression(
    update=(
        "SET #holder = #queue[0], #lease_expires_at = :exp, #fence = #fence + :one, #last = :last,"
        " #last_run_key = :lrk, #stale_tasks = list_append(if_not_exists(#stale_tasks, :empty), :old_task)"
        " REMOVE #queue[0] DELETE #queue_ids :ids"
    ),
    condition=HAND_OFF.condition,
)

# Wait in line behind a holder that is not me, once, if there is room. A queue exists only behind a holder, so
# acquiring a free lock never overtakes anybody. Entries that left do not take up room.
ENQUEUE: Final = Expression(
    update=("SET #queue = list_append(if_not_exists(#queue, :empty), :entry) ADD #queue_ids :ids"),
    condition=(
        "attribute_exists(#holder) AND #holder.#owner <> :owner AND (attribute_not_exists(#queue_ids)"
        " OR (NOT contains(#queue_ids, :grant) AND size(#queue_ids) < :max))"
    ),
)

# Stop waiting, from any place in the line. The entry itself stays until it is first (an index is not known
# without a read); without its id it is never given the lock. Refused means: no longer waiting, read who
# holds.
LEAVE: Final = Expression(
    update="DELETE #queue_ids :ids",
    condition="contains(#queue_ids, :grant)",
)

# Remove the first entry: one that left, or one whose execution is dead. By anybody who has seen that.
DROP_HEAD: Final = Expression(
    update="REMOVE #queue[0] DELETE #queue_ids :ids",
    condition="#queue[0].#grant = :head",
)

# Not a write: the condition under which a container of a fan-out, which shares its grant with its siblings,
# may work; and, with the token, under which a fenced write may happen beside the lock item in one
# transaction.
VERIFY_CONDITION: Final = "#holder.#owner = :owner AND #holder.#grant = :grant"
VERIFY_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"#grant": "grant", "#holder": "holder", "#owner": "owner"}
)
FENCED_CONDITION: Final = "#holder.#grant = :grant AND #fence = :token"
FENCED_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"#fence": "fence", "#grant": "grant", "#holder": "holder"}
)

EXPRESSIONS: Final[Mapping[str, Expression]] = MappingProxyType(
    {
        "acquire": ACQUIRE,
        "claim": CLAIM,
        "renew": RENEW,
        "renew_direct": RENEW_DIRECT,
        "take_over": TAKE_OVER,
        "take_over_as_head": TAKE_OVER_AS_HEAD,
        "re_arm": RE_ARM,
        "re_arm_after_success": RE_ARM_AFTER_SUCCESS,
        "release": RELEASE,
        "release_direct": RELEASE_DIRECT,
        "release_by_fence": RELEASE_BY_FENCE,
        "hand_off": HAND_OFF,
        "force_release": FORCE_RELEASE,
        "force_hand_off": FORCE_HAND_OFF,
        "enqueue": ENQUEUE,
        "leave": LEAVE,
        "drop_head": DROP_HEAD,
    }
)
"""All of them by name; the contract tests walk this map."""
