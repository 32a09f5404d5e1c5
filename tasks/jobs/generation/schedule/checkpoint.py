"""The best schedule so far, as a file that outlives the container."""

import json
import os
from pathlib import Path
from typing import Any, Final

from tasks.jobs.generation.schedule.plan import placed, without_deadlines
from tasks.jobs.generation.schedule.timetable import Timetable
from tasks.jobs.generation.schedule.verify import verify

NAME: Final = "best-schedule.json"
_VERSION: Final = 1


class SavedSchedule:
    """One file with the starts of one schedule of one project."""

    def __init__(self, folder: Path, digest: str) -> None:
        self._path = folder / NAME
        self._digest = digest

    def write(self, table: Timetable, starts: list[int], *, lateness: int, days: int, bound: int) -> None:
        """Replace the file at once: a kill leaves the former one or this one, never half of it."""
        ids = [activity.id for activity in table.project.activities]
        members = {
            "schema_version": _VERSION,
            "project": self._digest,
            "lateness": lateness,
            "days": days,
            "bound": bound,
            "starts": dict(zip(ids, starts, strict=True)),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(self._path.name + ".tmp")
        with beside.open("w", encoding="utf-8") as file:
            json.dump(members, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def read(self, table: Timetable) -> tuple[list[int] | None, str]:
        """The schedule, if it is one of this project; else None, and why ("" if there is no file).

        Whatever the file says is checked like a schedule of our own.
        """
        try:
            members = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None, ""
        except ValueError:
            return None, "it is damaged"
        if not isinstance(members, dict) or members.get("schema_version") != _VERSION:
            return None, "it was written by another version"
        if members.get("project") != self._digest:
            return None, "the project has changed"
        starts = _starts(members.get("starts"), table)
        if starts is None or verify(without_deadlines(table.project), placed(table, starts)):
            return None, "it breaks the rules of the project"
        return starts, ""


def _starts(written: Any, table: Timetable) -> list[int] | None:
    if not isinstance(written, dict):
        return None
    starts = [written.get(activity.id) for activity in table.project.activities]
    for start, job in zip(starts, table.jobs, strict=True):
        if not isinstance(start, int) or not 0 <= start <= table.horizon:
            return None
        index = job.shape.first_from(start)
        if index >= len(job.shape.starts) or job.shape.starts[index] != start:
            return None
    return [start for start in starts if start is not None]
