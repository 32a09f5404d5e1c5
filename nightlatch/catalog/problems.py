"""What can be wrong with a jobs file, and how it is told.

A reader wants every mistake at once, each with its place, what is wrong and what to do. So nothing in this
package stops at the first one: problems are collected and raised together as one :class:`CatalogError`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CODES = {
    "JOBS-001": "the jobs file cannot be read",
    "JOBS-002": "the jobs file is not UTF-8 text",
    "JOBS-003": "the jobs file is too big",
    "JOBS-004": "the jobs file is not YAML",
    "JOBS-005": "a YAML feature that Terraform and Python read differently",
    "JOBS-006": "a value that YAML parsers read differently",
    "JOBS-007": "a key stands twice",
    "JOBS-010": "an unknown key",
    "JOBS-011": "a missing key",
    "JOBS-012": "a value of the wrong type",
    "JOBS-013": "a value out of its range",
    "JOBS-014": "a value that is not one of the choices",
    "JOBS-015": "a malformed name",
    "JOBS-016": "a name that is reserved, taken or too long for AWS",
    "JOBS-020": "a schedule expression that AWS would refuse",
    "JOBS-021": "an unknown time zone",
    "JOBS-022": "a scheduled job without a deadline",
    "JOBS-023": "a schedule that is not exactly one of cron, rate, at",
    "JOBS-030": "a size that Fargate does not offer",
    "JOBS-031": "a run that could take longer than Step Functions allows",
    "JOBS-032": "waits between attempts that contradict each other",
    "JOBS-033": "text that Step Functions would evaluate",
    "JOBS-034": "an environment variable that belongs to nightlatch",
    "JOBS-035": "a duration that is not in whole seconds",
    "JOBS-036": "a fan-out whose shards no earlier step can write",
    "JOBS-037": "a shard with more time than all shards together",
    "JOBS-040": "an unknown environment",
}
"""Every code a jobs file can earn, with its meaning. Codes are never given another meaning."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a jobs file. ``line`` and ``column`` count from 1; 0 means the file as a whole."""

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.code} {self.message}\n    {self.hint}"


class CatalogError(Exception):
    """The jobs file has mistakes; ``problems`` holds all of them, in the order of the file."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        count = len(self.problems)
        heading = f"{path} has {count} mistake{'' if count == 1 else 's'}"
        super().__init__("\n".join([heading, *map(str, self.problems)]))


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice a person most likely meant by ``word``, if any is close."""
    matches = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return matches[0] if matches else None


def choose(word: str, choices: Iterable[str]) -> str:
    """The hint for a word that is not one of ``choices``: the nearest one first, then what there is."""
    known = sorted(choices)
    best = nearest(word, known)
    listed = ", ".join(known) if known else "none"
    return f"did you mean {best!r}? known here: {listed}" if best else f"known here: {listed}"
