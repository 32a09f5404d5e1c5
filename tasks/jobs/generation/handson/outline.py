"""The usual tasks of a hands-on guide (``outline.yaml``), for a project that gives only a topic."""

from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def with_outline(members: Any) -> Any:
    """A project as written, with the usual tasks if it has a ``topic`` and no ``tasks``."""
    if not isinstance(members, dict) or "topic" not in members or "tasks" in members:
        return members
    topic = members["topic"]
    if not isinstance(topic, str) or not topic.strip():
        return members
    rest = {key: value for key, value in members.items() if key != "topic"}
    language = "en" if rest.get("language") == "en" else "ja"
    return {"title": topic, **rest, "tasks": [_task(entry, topic, language) for entry in _outline()]}


@cache
def _outline() -> list[dict[str, Any]]:
    outline: list[dict[str, Any]] = YAML(typ="safe").load(Path(__file__).with_suffix(".yaml"))
    return outline


def _task(entry: dict[str, Any], topic: str, language: str) -> dict[str, Any]:
    title = entry[language]["title"]
    task: dict[str, Any] = {
        "id": entry["id"],
        "title": title,
        "instruction": entry[language]["instruction"],
        "after": entry["after"],
        "search": [f"{topic} {title}"],
        "output": entry["output"],
        "weight": entry["weight"],
    }
    if "items" in entry:
        task["schema"] = _form({name: words[language] for name, words in entry["items"].items()})
    return task


def _form(items: dict[str, str]) -> dict[str, Any]:
    texts = {name: {"type": "string", "title": title, "description": title} for name, title in items.items()}
    item = {"type": "object", "properties": texts, "required": list(texts), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"items": {"type": "array", "items": item, "minItems": 3}},
        "required": ["items"],
        "additionalProperties": False,
    }
