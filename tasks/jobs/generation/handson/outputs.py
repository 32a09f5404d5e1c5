"""The files of a run: a page, Markdown and JSON for each guide, a file for each task, and a list of all."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tasks.jobs.generation.handson.finished import Record, write_state
from tasks.jobs.generation.handson.labels import LABELS
from tasks.jobs.generation.handson.page import guide_page, list_page
from tasks.jobs.generation.handson.picture import draw
from tasks.jobs.generation.handson.questions import as_text, as_yaml
from tasks.jobs.generation.handson.running import Lane, State

_ENDINGS: Final = {"markdown": "md", "json": "json", "yaml": "yaml"}


def write_outputs(lanes: Sequence[Lane], folder: Path) -> None:
    """Write everything that is there, each file as a whole.

    ``index.html`` and ``handson.json`` for the run; ``PROJECT/index.html``, ``handson.md``, ``handson.json``,
    ``graph.svg`` and ``tasks/`` for each guide; ``state/`` for the next run.
    """
    for lane in lanes:
        home = folder / lane.graph.project.id
        for number, name in enumerate(lane.graph.order, start=1):
            result = lane.standings[name].result
            if isinstance(result, Record):
                form = lane.graph.tasks[name].output
                _write(home / "tasks" / f"{number:02d}-{name}.{_ENDINGS[form]}", _one(result.output, form))
        _write(home / "graph.svg", draw(lane))
        _write(home / "handson.md", as_markdown(lane))
        _write(home / "index.html", guide_page(lane))
        _write_json(home / "handson.json", as_members(lane))
    write_list([summary(lane) for lane in lanes], folder)
    results = [standing.result for lane in lanes for standing in lane.standings.values()]
    write_state(folder / "state", [result for result in results if isinstance(result, Record)])


def write_list(guides: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write ``index.html`` and ``handson.json`` of a run from the summaries of its guides."""
    _write(folder / "index.html", list_page(guides))
    _write_json(folder / "handson.json", {"schema_version": 1, "projects": list(guides)})


def summary(lane: Lane) -> dict[str, Any]:
    """One guide in a few members."""
    records = _records(lane)
    return {
        "id": lane.graph.project.id,
        "title": lane.graph.project.title,
        "language": lane.graph.project.language,
        "status": "complete" if lane.count(State.SUCCEEDED) == len(lane.standings) else "partial",
        "tasks": {str(state): lane.count(state) for state in State if lane.count(state)},
        "seconds": round(sum(record.seconds for record in records), 3),
        "input_tokens": sum(record.input_tokens for record in records),
        "output_tokens": sum(record.output_tokens for record in records),
    }


def as_members(lane: Lane) -> dict[str, Any]:
    """The content of a guide's handson.json."""
    tasks = []
    for name in lane.graph.order:
        standing, task = lane.standings[name], lane.graph.tasks[name]
        members: dict[str, Any] = {"id": name, "title": task.title, "state": str(standing.state)}
        members["after"] = list(task.after)
        if standing.state is State.FAILED:
            members["reason"] = standing.reason
        if standing.state is State.SKIPPED:
            members["because"] = standing.because
        if isinstance(standing.result, Record):
            record = standing.result.members()
            members |= {key: record[key] for key in record if key not in {"project", "task"}}
            members["kept"] = standing.kept
        tasks.append(members)
    return {"schema_version": 1, **summary(lane), "parts": tasks}


def as_markdown(lane: Lane) -> str:
    """The whole guide as one text."""
    project = lane.graph.project
    words = LABELS[project.language]
    parts = [f"# {project.title}\n"]
    if project.goal:
        parts.append(f"{words['goal']}: {project.goal}\n")
    for number, name in enumerate(lane.graph.order, start=1):
        standing = lane.standings[name]
        parts.append(f"## {number}. {lane.graph.tasks[name].title}\n")
        if isinstance(standing.result, Record):
            output = standing.result.output
            parts.append(output + "\n" if isinstance(output, str) else f"```yaml\n{as_yaml(output)}```\n")
            if standing.result.sources:
                lines = [f"- [{one.number}] {one.title} ({one.address})" for one in standing.result.sources]
                parts.append(f"{words['sources']}:\n\n" + "\n".join(lines) + "\n")
        elif standing.state is State.FAILED:
            parts.append(f"{words['why_failed']} {standing.reason}\n")
        elif standing.state is State.SKIPPED:
            parts.append(words["why_skipped"].format(title=lane.graph.tasks[standing.because].title) + "\n")
    return "\n".join(parts)


def _records(lane: Lane) -> list[Record]:
    results = [standing.result for standing in lane.standings.values()]
    return [result for result in results if isinstance(result, Record)]


def _one(output: Any, form: str) -> str:
    if form == "json":
        return json.dumps(output, ensure_ascii=False, indent=1) + "\n"
    text = as_text(output)
    return text if text.endswith("\n") else text + "\n"


def _write_json(path: Path, members: Any) -> None:
    _write(path, json.dumps(members, ensure_ascii=False, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
