"""Waiting for a condition, in tests of real processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(look: Callable[[], T], *, seconds: float = 20) -> T:
    """Look again and again until what is seen counts as true, and return it.

    Raises:
        AssertionError: It did not within the time.
    """
    give_up = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > give_up:
            raise AssertionError(f"it did not happen within {seconds} s")
        time.sleep(0.02)
    return seen
