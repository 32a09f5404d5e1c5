"""The processes that take locks: direct holders, and runs whose containers claim."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

from lock import (
    Acquired,
    Claimed,
    Held,
    Holder,
    Kind,
    Lock,
    LockItem,
    Lost,
    NotHeld,
    StaleTask,
    StoreUnavailableError,
)
from tests.chaos.section import work
from tests.chaos.stage import LEASE_SECONDS, Hands, Stage, identity, lives

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PAUSE_SECONDS: Final = 0.4
_ATTEMPT_SECONDS: Final = 4.0
_ATTEMPTS: Final = 3
_ASKS: Final = 4
_LOST_LOCK: Final = 75
_FAMILY: Final = "chaos"


def insist(hands: Hands, ask: Callable[[], T]) -> T:
    """Ask again while the store does not answer, as its error advises."""
    for _ in range(_ASKS - 1):
        try:
            return ask()
        except StoreUnavailableError as error:
            hands.history.note("unavailable", operation=error.operation)
    return ask()


def worker(stage: Stage, slot: int) -> None:
    """The life of a worker process."""
    role = stage.roles[slot // 3]
    hands = Hands(stage, slot, f"{role.key}-{slot // 3}")
    once = one_run if role.runs else hold_once
    while True:
        try:
            once(hands, role.key)
        except StoreUnavailableError as error:
            # Given up: what it left behind is for the others to clean up.
            hands.history.note("abandoned", operation=error.operation)
        if stage.sleeper(role.key) == os.getpid():
            stage.sleeps(role.key, 0)
        hands.table.clock.wait(threading.Event(), hands.dice.uniform(0, _PAUSE_SECONDS))


# -- direct holders ---------------------------------------------------------------------------------------


def hold_once(hands: Hands, key: str) -> None:
    """Take the lock as any program does, work, and give it back; by luck waiting, by luck renewing."""
    waits = hands.stage.roles[hands.slot // 3].waits
    lock = Lock(
        key,
        table=hands.table,
        lease_seconds=LEASE_SECONDS,
        wait_seconds=hands.dice.choice((0.0, 3.0)) if waits else 0.0,
        poll_seconds=0.3,
        max_waiters=4,
        renew=hands.dice.random() < 0.3,
    )
    result = insist(hands, lock.acquire)
    if not isinstance(result, Acquired):
        hands.history.note("refused", key=key, answer=type(result).__name__)
        return
    owner = result.holder.owner
    hands.history.note("got", key=key, owner=owner, token=lock.token, took_over=result.took_over is not None)
    refused = work(
        hands,
        key,
        owner=owner,
        token=lock.token,
        grant=result.holder.grant,
        lease_ends=lambda: _lease_ends(lock),
    )
    released = insist(hands, lock.release)
    hands.history.note("gave_back", key=key, owner=owner, answer=type(released).__name__)
    if refused:
        hands.stage.count_nap(key)


def _lease_ends(lock: Lock) -> int | None:
    """The holder's own idea of it, which `Lock.check` goes by: monotonic ns, without the margin."""
    lease = lock._lease
    if lease is None or lock.lost.is_set():
        return 0
    return int((lease._good_until + lease._seconds * 0.1) * 1e9)


# -- runs and their containers ----------------------------------------------------------------------------


def one_run(hands: Hands, key: str) -> None:
    """A run: acquire or take over, drain, let a container claim and work, release."""
    me = f"run:{identity(os.getpid())}:{hands.dice.randrange(1 << 40):x}"
    holder = hands.table.new_holder(
        owner=me, job=key, lease_ms=600_000, kind=Kind.SFN, family=_FAMILY, group=me
    )
    result = insist(hands, lambda: hands.table.acquire(key, holder))
    if isinstance(result, Held) and not _alive(result.holder):
        seen = result.item
        result = insist(hands, lambda: hands.table.take_over(seen, holder))
    if not isinstance(result, Acquired):
        hands.history.note("refused", key=key, answer=type(result).__name__)
        return
    hands.history.note("got", key=key, owner=me, token=result.token, took_over=result.took_over is not None)
    mine: LockItem | None = result.item
    if result.to_drain:
        mine = _re_armed(hands, result.item, me)
    for _ in range(_ATTEMPTS):
        if mine is None or mine.holder is None:
            break
        tracked = _attempt(hands, key, mine.holder)
        if tracked is not None:
            done = mine
            released = insist(hands, lambda: hands.table.release(done, task_arn=tracked))  # noqa: B023 -- called at once
            hands.history.note("gave_back", key=key, owner=me, answer=type(released).__name__)
            if not isinstance(released, NotHeld):
                return
        seen_now = insist(hands, lambda: hands.table.get(key))
        mine = None
        if seen_now is not None and seen_now.holder is not None and seen_now.holder.owner == me:
            mine = _re_armed(hands, seen_now, me)
    if mine is not None:
        last = mine
        insist(hands, lambda: hands.table.release_by_fence(last, outcome="failed"))


def _alive(holder: Holder) -> bool:
    """The oracle: an owner's process lives or not."""
    return lives(holder.owner.split(":")[1])


def _re_armed(hands: Hands, seen: LockItem, me: str) -> LockItem | None:
    """Everything on the row is stopped, then the next attempt gets a grant of its own."""
    for task in seen.to_drain:
        drain(hands, task)
    grant = seen.holder.grant if seen.holder else ""
    armed = insist(hands, lambda: hands.table.re_arm(seen, owner=me, grant=grant, family=_FAMILY))
    return None if isinstance(armed, Lost) else armed.item


def drain(hands: Hands, task: StaleTask) -> None:
    """Kill a container, or every known one of a group, and return when they are gone."""
    listed = hands.stage.folder / "containers" / str(task.group)
    names = [path.name for path in listed.iterdir()] if listed.is_dir() else []
    for name in {*names, *([task.task_arn] if task.task_arn else [])}:
        pid = int(name.partition("@")[0])
        if lives(name):
            os.kill(pid, signal.SIGKILL)
        while lives(name):
            time.sleep(0.002)
        hands.history.note("gone", process=pid, why="drained")


def _attempt(hands: Hands, key: str, holder: Holder) -> str | None:
    """One or, by a doubled start, two containers; the one that ended well, if any did in time."""
    count = 2 if hands.dice.random() < 0.4 else 1
    containers = [_start(hands, key, holder, number) for number in range(count)]
    give_up = time.monotonic() + _ATTEMPT_SECONDS
    while containers and time.monotonic() < give_up:
        for pid in list(containers):
            name = identity(pid)
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                containers.remove(pid)
                hands.history.note("gone", process=pid, why=f"ended {status}")
                if status == 0:
                    return name
        time.sleep(0.002)
    return None


def _start(hands: Hands, key: str, holder: Holder, number: int) -> int:
    pid = os.fork()
    if pid == 0:
        in_child(lambda: container(hands.stage, hands.slot + 1 + number, key, holder))
    return pid


def in_child(live: Callable[[], object]) -> None:
    """The rest of a forked process."""
    status = 70
    try:
        answer = live()
        status = answer if isinstance(answer, int) else 0
    finally:
        os._exit(status)


def container(stage: Stage, slot: int, key: str, holder: Holder) -> int:
    """Claim or do not work; the exit status."""
    name = identity(os.getpid())
    listed = stage.folder / "containers" / str(holder.group)
    listed.mkdir(parents=True, exist_ok=True)
    (listed / name).touch()
    hands = Hands(stage, slot, f"container-of-{key}")
    claimed = insist(
        hands,
        lambda: hands.table.claim(key, owner=holder.owner, grant=holder.grant, task_arn=name),
    )
    if not isinstance(claimed, Claimed):
        hands.history.note("refused", key=key, answer="Lost")
        return _LOST_LOCK
    work(
        hands,
        key,
        owner=f"{holder.owner} {name}",
        token=claimed.token,
        grant=holder.grant,
        lease_ends=lambda: None,
    )
    return 0
