"""A project as tables: activities.csv, and beside it resources.csv, calendar.csv and rain.csv if wanted.

What a cell may say is in docs/jobs/schedule-generate.md. The result has the members of the JSON form, so that
one set of rules checks both.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final

from tasks.jobs.generation.schedule.problems import Place, Problem, WrongProjectError

_COLUMNS: Final = {
    "id", "name", "group", "duration", "after", "needs", "calendar", "outdoor", "not_before", "deadline",
}  # fmt: skip
_RESOURCE_COLUMNS: Final = {"id", "name", "kind", "units"}
_LINK: Final = re.compile(
    r"(?P<activity>\S+?)(?:\s+(?P<kind>FS|SS|FF|SF))?(?:\s*(?P<lag>[+-]\s*\d+)(?P<days>d?))?"
)
_NEED: Final = re.compile(r"(?P<resource>[^:*]+?)\s*(?:[:*]\s*(?P<units>\d+))?")
_TRUE: Final = {"1", "yes", "true", "y", "○", "はい"}
_FALSE: Final = {"", "0", "no", "false", "n", "\u00d7", "いいえ"}

Row = tuple[int, dict[str, str]]


def read_csv(
    text: str, name: str, start: date | None, *, beside: Callable[[str], str | None]
) -> tuple[dict[str, Any], Callable[[Place], str]]:
    """The members of a project from its table of activities and the tables in the same folder."""
    problems: list[Problem] = []
    if start is None:
        problems.append(Problem(name, "a table has no first day: give it with --start 2026-04-01"))
    rows = list(_rows(text, name, _COLUMNS, {"id", "duration"}, problems))
    activities = [_activity(row, f"{name}:{line}", problems) for line, row in rows]
    lines: dict[tuple[str, int], str] = {
        ("activities", k): f"{name}:{line}" for k, (line, _) in enumerate(rows)
    }
    members: dict[str, Any] = {"start": start, "activities": activities}
    table = beside("resources.csv")
    if table is not None:
        rows = list(_rows(table, "resources.csv", _RESOURCE_COLUMNS, {"id", "units"}, problems))
        lines |= {("resources", k): f"resources.csv:{line}" for k, (line, _) in enumerate(rows)}
        members["resources"] = [{key: cell for key, cell in row.items() if cell} for _, row in rows]
    table = beside("calendar.csv")
    if table is not None:
        _read_calendar(table, members, problems)
    if problems:
        raise WrongProjectError(problems)

    def locate(place: Place) -> str:
        return lines.get((str(place[0]), int(place[1])), name) if len(place) > 1 else name

    return members, locate


def _rows(text: str, name: str, known: set[str], wanted: set[str], problems: list[Problem]) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        unknown = [cell for cell in header if cell not in known]
        missing = sorted(wanted - set(header))
        if unknown:
            problems.append(
                Problem(
                    f"{name}:1", f"unknown columns {', '.join(unknown)}; there are {', '.join(sorted(known))}"
                )
            )
        if missing:
            problems.append(Problem(f"{name}:1", f"columns {', '.join(missing)} are missing"))
        if unknown or missing:
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                problems.append(
                    Problem(f"{name}:{reader.line_num}", f"{len(cells)} cells under {len(header)} columns")
                )
                continue
            yield reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=False))
    except csv.Error as error:
        problems.append(Problem(f"{name}:{reader.line_num}", f"not CSV: {error}"))


def _activity(row: dict[str, str], where: str, problems: list[Problem]) -> dict[str, Any]:
    members: dict[str, Any] = {
        key: row[key] for key in ("id", "name", "group", "calendar", "not_before", "deadline") if row.get(key)
    }
    members["id"] = row["id"]
    duration = row["duration"]
    if re.fullmatch(r"-?\d{1,9}", duration):
        members["duration"] = int(duration)
    else:
        problems.append(Problem(where, f"duration {duration!r} is not a whole number of days"))
        members["duration"] = 0
    outdoor = row.get("outdoor", "").lower()
    if outdoor not in _TRUE | _FALSE:
        problems.append(Problem(where, f"outdoor {outdoor!r} is neither yes nor no"))
    members["outdoor"] = outdoor in _TRUE
    members["after"] = list(_links(row.get("after", ""), where, problems))
    members["needs"] = dict(_needs(row.get("needs", ""), where, problems))
    return members


def _links(cell: str, where: str, problems: list[Problem]) -> Iterator[dict[str, Any]]:
    for part in filter(None, (part.strip() for part in cell.split(";"))):
        match = _LINK.fullmatch(part)
        if match is None:
            problems.append(Problem(where, f"after {part!r} cannot be read; write A, A+3, A SS+2 or A FS+7d"))
            continue
        yield {
            "activity": match["activity"],
            "kind": match["kind"] or "FS",
            "lag": int((match["lag"] or "0").replace(" ", "")),
            "unit": "calendar" if match["days"] else "working",
        }


def _needs(cell: str, where: str, problems: list[Problem]) -> Iterator[tuple[str, int]]:
    for part in filter(None, (part.strip() for part in cell.split(";"))):
        match = _NEED.fullmatch(part)
        if match is None:
            problems.append(Problem(where, f"needs {part!r} cannot be read; write carpenters:2"))
            continue
        yield match["resource"], int(match["units"] or 1)


def _read_calendar(table: str, members: dict[str, Any], problems: list[Problem]) -> None:
    name = "calendar.csv"
    closed, opened, rain = [], [], []
    for line, row in _rows(table, name, {"date", "kind", "reason"}, {"date", "kind"}, problems):
        try:
            day = date.fromisoformat(row["date"])
        except ValueError:
            problems.append(Problem(f"{name}:{line}", f"{row['date']!r} is not a date like 2026-05-01"))
            continue
        if row["kind"] == "closed":
            closed.append({"from": day, "to": day, "reason": row.get("reason", "")})
        elif row["kind"] == "open":
            opened.append(day)
        elif row["kind"] == "rain":
            rain.append(day)
        else:
            problems.append(Problem(f"{name}:{line}", f"kind {row['kind']!r} is none of closed, open, rain"))
    members["calendars"] = {"default": {"closed": closed, "open": opened}}
    members["rain"] = {"days": rain}
