"""Files of a plan: JSON for programs, CSV for spreadsheets, SVG and HTML for the wall of the site office."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any, Final

from tasks.jobs.generation.schedule.chart import draw
from tasks.jobs.generation.schedule.plan import Plan, use_of
from tasks.jobs.generation.schedule.sheet import sheet

_COLUMNS: Final = (
    "id",
    "name",
    "group",
    "start",
    "finish",
    "duration",
    "slack",
    "deadline",
    "after",
    "needs",
)
# A spreadsheet would run a cell that begins so.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write_outputs(plan: Plan, folder: Path) -> None:
    """Write schedule.json, schedule.csv, schedule.svg and schedule.html, each as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "schedule.csv", "\ufeff" + as_csv(plan))
    _write(folder / "schedule.svg", draw(plan))
    _write(folder / "schedule.html", sheet(plan))
    _write(folder / "schedule.json", json.dumps(as_members(plan), ensure_ascii=False, indent=1) + "\n")


def as_members(plan: Plan) -> dict[str, Any]:
    """The content of schedule.json."""
    return {
        "schema_version": 1,
        "project": {"name": plan.project.name, "digest": plan.digest},
        "status": "optimal" if plan.optimal else "feasible",
        "ended_by": plan.ended_by,
        "start": plan.project.start.isoformat(),
        "finish": plan.finish.isoformat(),
        "days": plan.days,
        "bound": {"days": plan.bound, "finish": plan.bound_finish.isoformat()},
        "gap": round(plan.gap, 6),
        "greedy_days": plan.greedy,
        "activities": [
            {
                "id": line.activity.id,
                "name": line.activity.name,
                "start": line.placed.start.isoformat() if line.placed.start else None,
                "finish": line.placed.finish.isoformat(),
                "slack": line.slack,
            }
            for line in plan.lines
        ],
        "resources": [
            {
                "id": resource.id,
                "units": resource.units,
                "most_used": max(use_of(plan, resource.id).values(), default=0),
            }
            for resource in plan.project.resources
        ],
    }


def as_csv(plan: Plan) -> str:
    """The table, in the order of the days."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for line in sorted(plan.lines, key=lambda line: (line.placed.begins, line.placed.finish)):
        activity, placed = line.activity, line.placed
        after = ";".join(
            f"{link.activity} {link.kind}{link.lag:+d}{'d' if link.unit == 'calendar' else ''}"
            for link in activity.after
        )
        needs = ";".join(f"{name}:{units}" for name, units in activity.needs.items())
        cells = (
            activity.id, activity.name, activity.group, placed.start or "", placed.finish, activity.duration,
            line.slack, activity.deadline or "", after, needs,
        )  # fmt: skip
        writer.writerow([f"'{c}" if isinstance(c, str) and c.startswith(_FORMULA) else c for c in cells])
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
