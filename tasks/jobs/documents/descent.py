"""Minimising a smooth convex function of many variables: L-BFGS.

After Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5, with a backtracking line search.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_MEMORY: Final = 10
_SHRINK: Final = 0.5
_ENOUGH: Final = 1e-4
_SMALLEST_STEP: Final = 1e-10


def minimise(
    loss: Callable[[Floats], tuple[float, Floats]], start: Floats, rounds: int, tolerance: float
) -> Floats:
    """The place near the minimum of `loss`, which gives value and gradient.

    It ends after `rounds`, or when the gradient has shrunk to `tolerance` of what it was.
    """
    place = start
    value, slope = loss(place)
    goal = tolerance * max(1e-12, float(np.linalg.norm(slope)))
    known: deque[tuple[Floats, Floats, float]] = deque(maxlen=_MEMORY)
    for _ in range(rounds):
        if float(np.linalg.norm(slope)) <= goal:
            break
        way = -_two_loops(slope, known)
        down = float(way @ slope)
        step = 1.0 if known else min(1.0, 1.0 / max(1e-12, float(np.abs(slope).sum())))
        while step > _SMALLEST_STEP:
            there = place + step * way
            value_there, slope_there = loss(there)
            if value_there <= value + _ENOUGH * step * down:
                break
            step *= _SHRINK
        else:
            break
        moved, turned = there - place, slope_there - slope
        curve = float(moved @ turned)
        if curve > 1e-12:  # noqa: PLR2004  (else the curvature says nothing)
            known.append((moved, turned, 1.0 / curve))
        place, value, slope = there, value_there, slope_there
    return place


def _two_loops(slope: Floats, known: "deque[tuple[Floats, Floats, float]]") -> Floats:
    """The inverse curvature, as far as it is known, by the gradient."""
    way = slope.copy()
    shares = []
    for moved, turned, scale in reversed(known):
        share = scale * float(moved @ way)
        shares.append(share)
        way -= share * turned
    if known:
        moved, turned, scale = known[-1]
        way *= 1.0 / (scale * float(turned @ turned))
    for (moved, turned, scale), share in zip(known, reversed(shares), strict=True):
        way += moved * (share - scale * float(turned @ way))
    return way
