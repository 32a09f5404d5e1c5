"""PSPLIB's single-mode format (.sm).

Source: Kolisch and Sprecher, "PSPLIB - a project scheduling problem library", 1996.

Days are plain numbers there, so every day is a working day here.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Any, Final

from tasks.jobs.generation.schedule.problems import Place, Problem, WrongProjectError

# The format knows no dates; a Monday.
FIRST_DAY: Final = date(2001, 1, 1)
_NUMBERS: Final = re.compile(r"-?\d+")
# Job number, mode and duration come before the needs.
_BEFORE_NEEDS: Final = 3

Table = list[tuple[int, list[int]]]


class _File:
    """The lines of one file, and how to say what is wrong with them."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines = text.splitlines()

    def wrong(self, what: str, line: int | None = None) -> WrongProjectError:
        return WrongProjectError([Problem(self.name if line is None else f"{self.name}:{line}", what)])

    def table(self, title: str, skip: int) -> Table:
        """Line number and numbers of every row of a part."""
        heads = [number for number, line in enumerate(self.lines) if line.startswith(title)]
        if not heads:
            raise self.wrong(f"there is no part {title!r}: not a PSPLIB file, or cut off")
        rows: Table = []
        for number in range(heads[0] + skip, len(self.lines)):
            line = self.lines[number].strip()
            if line.startswith("*"):
                break
            if re.search(r"[^\d\s-]", line):
                raise self.wrong(f"there are other things than numbers in {title!r}", number + 1)
            if line:
                rows.append((number + 1, [int(cell) for cell in _NUMBERS.findall(line)]))
        return rows


def read_psplib(text: str, name: str, start: date | None) -> tuple[dict[str, Any], Callable[[Place], str]]:
    """The members of a project from an ``.sm`` file.

    Raises:
        WrongProjectError: if the file is damaged, or has several modes or other than renewable resources.
    """
    file = _File(text, name)
    _refuse_other_resources(file)
    rows = file.table("RESOURCEAVAILABILITIES", 2)
    if not rows:
        raise file.wrong("the availabilities of the resources are missing")
    available = rows[0][1]
    after = _predecessors(file)
    activities, lines = _activities(file, after, len(available))
    ids = {activity["id"] for activity in activities}
    unknown = sorted(number for number in after if str(number) not in ids)
    if unknown:
        raise file.wrong(f"successor {unknown[0]} has no duration: the file is cut off")
    members = {
        "name": name.removesuffix(".sm"),
        "start": start or FIRST_DAY,
        "calendars": {"default": {"days_off": [], "holidays": "none"}},
        "resources": [{"id": f"R{k}", "units": units} for k, units in enumerate(available, start=1)],
        "activities": activities,
    }

    def locate(place: Place) -> str:
        if len(place) > 1 and place[0] == "activities" and int(place[1]) < len(lines):
            return f"{name}:{lines[int(place[1])]}"
        return name

    return members, locate


def _predecessors(file: _File) -> dict[int, list[int]]:
    after: dict[int, list[int]] = {}
    for line, cells in file.table("PRECEDENCE RELATIONS", 2):
        if len(cells) < _BEFORE_NEEDS or len(cells) != _BEFORE_NEEDS + cells[2]:
            raise file.wrong("the number of successors and the list of them disagree", line)
        if cells[1] != 1:
            raise file.wrong(
                f"activity {cells[0]} has {cells[1]} modes; only single-mode projects are scheduled", line
            )
        for successor in cells[3:]:
            after.setdefault(successor, []).append(cells[0])
    return after


def _activities(
    file: _File, after: dict[int, list[int]], resources: int
) -> tuple[list[dict[str, Any]], list[int]]:
    activities, lines = [], []
    for line, cells in file.table("REQUESTS/DURATIONS", 3):
        if len(cells) != _BEFORE_NEEDS + resources:
            raise file.wrong(f"{len(cells) - _BEFORE_NEEDS} needs for {resources} resources", line)
        activities.append(
            {
                "id": str(cells[0]),
                "duration": cells[2],
                "needs": {f"R{k}": count for k, count in enumerate(cells[3:], start=1) if count},
                "after": [str(number) for number in after.get(cells[0], [])],
            }
        )
        lines.append(line)
    return activities, lines


def _refuse_other_resources(file: _File) -> None:
    for number, line in enumerate(file.lines, start=1):
        kind = re.match(r"\s*-\s*(nonrenewable|doubly constrained)\s*:\s*(\d+)", line)
        if kind and int(kind[2]):
            raise file.wrong(f"{kind[1]} resources are not scheduled, only renewable ones", number)
