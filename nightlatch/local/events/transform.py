"""What of an event a rule's target gets: all of it, a part, a constant, or a template.

Source: EventBridge user guide, "Amazon EventBridge input transformation".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
_MISSING = object()


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str) -> str:
    """The text that a target gets for an event.

    Args:
        target: As in the rule: at most one of ``Input``, ``InputPath`` and ``InputTransformer``.
        event: The event.
        rule_arn: For ``<aws.events.rule-arn>`` and ``<aws.events.rule-name>``.
    """
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath") is not None:
        part = at_path(event, target["InputPath"])
        return json.dumps({} if part is _MISSING else part)
    transformer = target.get("InputTransformer")
    if transformer is None:
        return json.dumps(event)
    values = {name: at_path(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rpartition("/")[2],
        "aws.events.event.ingestion-time": event.get("time", ""),
        "aws.events.event": {name: item for name, item in event.items() if name != "detail"},
        "aws.events.event.json": dict(event),
    }
    return _filled(transformer["InputTemplate"], values)


def at_path(event: Any, path: str) -> Any:
    """The part of an event that a path (``$.detail.status``, ``$.resources[0]``) names."""
    if not path.startswith("$"):
        return _MISSING
    position, value = 1, event
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            return _MISSING
        name, index, *quoted = step.groups()
        key = name if name is not None else next((text for text in quoted if text is not None), None)
        if index is not None:
            inside = isinstance(value, list) and int(index) < len(value)
            value = value[int(index)] if inside else _MISSING
        else:
            value = value.get(key, _MISSING) if isinstance(value, dict) else _MISSING
        if value is _MISSING:
            return _MISSING
        position = step.end()
    return value


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """The template with its variables: as JSON outside of quotes, as text inside."""
    filled, position, quoted = [], 0, False
    for match in _VARIABLE.finditer(template):
        before = template[position : match.start()]
        quoted ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        filled += [before, match[0] if match[1] not in values else _value(values[match[1]], quoted=quoted)]
        position = match.end()
    return "".join([*filled, template[position:]])


def _value(value: Any, *, quoted: bool) -> str:
    if not quoted:
        return json.dumps(None if value is _MISSING else value)
    if value is _MISSING:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)[1:-1]
