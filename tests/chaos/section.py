"""The part of the work that nobody may do at the same time: writing to fenced resources."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tests.chaos.history import now
from tests.chaos.stage import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.stage import Hands

_NAP_NS: Final = int(LEASE_SECONDS * 1e9)


def work(
    hands: Hands, key: str, *, owner: str, token: int, grant: str, lease_ends: Callable[[], int | None]
) -> bool:
    """Show the token to every resource, then write on. The history says from when to when.

    Args:
        hands: of this process.
        key: the lock.
        owner: who holds it.
        token: the fencing token.
        grant: the grant it was got with.
        lease_ends: monotonic ns until which the holder may believe that it holds; None: until it is drained.

    Returns:
        Whether it slept past its lease and every resource has refused it since.
    """
    stage, history = hands.stage, hands.history
    history.note("enter", key=key, owner=owner, token=token, lease_ends=lease_ends())
    stage.enter(hands.slot, os.getpid())
    resources = list(stage.place.resources)
    hands.dice.shuffle(resources)
    writes = len(resources) + hands.dice.randrange(6)
    number, seen, refused = 0, now(), False
    # Whoever works while another sleeps stays until that one has woken and given back what it no longer has.
    while number < writes or stage.sleeper(key) not in {0, os.getpid()}:
        _write(hands, resources[number % len(resources)], key, owner=owner, token=token, grant=grant)
        number += 1
        if number == len(resources):
            stage.count_established(key)
        if now() - seen > _NAP_NS:
            refused = not _after_a_nap(hands, key, owner=owner, token=token, grant=grant, since=seen)
            break
        ends = lease_ends()
        if ends is not None and now() > ends:
            history.note("gave_up", key=key, owner=owner, token=token)
            break
        history.note("holds", owner=owner, lease_ends=ends)
        seen = now()
    stage.enter(hands.slot, 0)
    history.note("exit", key=key, owner=owner, token=token)
    return refused


def _after_a_nap(hands: Hands, key: str, *, owner: str, token: int, grant: str, since: int) -> bool:
    """Slept longer than the lease. A program that did not notice would write now: so do it, everywhere."""
    hands.history.note("woke", key=key, owner=owner, token=token, slept_ns=now() - since)
    answers = [
        _write(hands, resource, key, owner=owner, token=token, grant=grant)
        for resource in hands.stage.place.resources
    ]
    # Of a lock broken on purpose nobody expects that.
    return any(answers) and hands.stage.mutant is None


def _write(hands: Hands, resource: str, key: str, *, owner: str, token: int, grant: str) -> bool:
    began = now()
    answer: dict[str, object]
    try:
        answer = {"accepted": hands.resources.write(resource, key, token=token, grant=grant, writer=owner)}
    except Exception as error:  # noqa: BLE001 -- every class of error is kept and reported, none is expected
        answer = {"accepted": None, "error": f"{type(error).__name__}: {error}"}
    hands.history.note("write", key=key, resource=resource, owner=owner, token=token, began=began, **answer)
    return bool(answer["accepted"])
