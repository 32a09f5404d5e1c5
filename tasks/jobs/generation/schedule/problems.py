"""What is wrong with an input, and on which line."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks.jobs.program import JobError

# More than anybody corrects in one go.
_MOST_SHOWN: Final = 20
_SPACE: Final = re.compile(r"[ \t\r\n]*")

Place = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct: where in the file, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class WrongProjectError(JobError):
    """The project cannot be scheduled as it is written; carries all problems that were found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        shown = [str(problem) for problem in problems[:_MOST_SHOWN]]
        more = len(problems) - len(shown)
        super().__init__("; ".join(shown + ([f"and {more} more"] if more > 0 else [])))
        self.problems = tuple(problems)


def line_of(text: str, place: Place) -> int:
    """The line (from 1) of the value at `place` in a JSON text, or of the nearest value around it."""
    at = _skip(text, 0)
    for step in place:
        found = _member(text, at, step) if text[at : at + 1] == "{" else _item(text, at, step)
        if found is None:
            break
        at = found
    return text.count("\n", 0, at) + 1


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _past(text: str, at: int) -> int:
    """The position after the value at `at`, and after what separates it from the next."""
    return _skip(text, json.JSONDecoder().raw_decode(text, at)[1])


def _member(text: str, at: int, name: str | int) -> int | None:
    at = _skip(text, at + 1)
    found = None
    while text[at] != "}":
        key, end = json.JSONDecoder().raw_decode(text, at)
        at = _skip(text, _skip(text, end) + 1)
        if key == str(name):
            found = at
        at = _past(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _item(text: str, at: int, index: str | int) -> int | None:
    if text[at : at + 1] != "[" or not isinstance(index, int):
        return None
    at = _skip(text, at + 1)
    for _ in range(index):
        if text[at] == "]":
            return None
        at = _past(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return at
