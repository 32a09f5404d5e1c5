"""How a bench reports: a table for people, and one JSON object as the very last line."""

from __future__ import annotations

import json
import operator
import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MEETS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass
class Report:
    """The figures of one bench, their goals, and whether each goal was met.

    A goal is written as `(comparison, bound)`, for example `("<=", 0.5)`. A bench exits 0 whether or not its
    goals are met: the report tells, it does not judge.
    """

    bench: str
    figures: dict[str, float] = field(default_factory=dict)
    goals: dict[str, tuple[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, goal: tuple[str, float] | None = None) -> None:
        """Record one figure (unit in its name, such as `ready_seconds`), with its goal where it has one."""
        self.figures[name] = round(value, 4)
        if goal is not None:
            self.goals[name] = goal

    def note(self, text: str) -> None:
        """Add a sentence under the table: what was measured, against what."""
        self.notes.append(text)

    @property
    def met(self) -> dict[str, bool]:
        """For every goal, whether its figure reached it."""
        return {name: _MEETS[how](self.figures[name], bound) for name, (how, bound) in self.goals.items()}

    def finish(self) -> None:
        """Print the table, then the JSON line."""
        width = max(map(len, self.figures), default=10)
        met = self.met
        lines = [f"{'figure':<{width}}  {'measured':>12}  {'goal':>12}  met"]
        for name, value in self.figures.items():
            goal = "{} {:g}".format(*self.goals[name]) if name in self.goals else ""
            verdict = "" if name not in met else "yes" if met[name] else "NO"
            lines.append(f"{name:<{width}}  {value:>12g}  {goal:>12}  {verdict}")
        lines += [f"  {note}" for note in self.notes]
        goals = {name: f"{how} {bound:g}" for name, (how, bound) in self.goals.items()}
        lines.append(json.dumps({"bench": self.bench, "figures": self.figures, "goals": goals, "met": met}))
        sys.stdout.write("\n".join(lines) + "\n")


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """The median of the ratios ours/peer, pair by pair, so that a drifting machine cancels out."""
    return statistics.median(mine / other for mine, other in zip(ours, peer, strict=True))
