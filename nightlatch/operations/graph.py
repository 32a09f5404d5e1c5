"""A state machine's definition as a Mermaid flow chart."""

from __future__ import annotations

from typing import Any

_SHAPES = {
    "Choice": ("{", "}"),
    "Succeed": ("([", "])"),
    "Fail": ("([", "])"),
    "Wait": ("[/", "/]"),
    "Task": ("[", "]"),
    "Pass": ("(", ")"),
}


def mermaid(definition: dict[str, Any]) -> str:
    """The flow chart of a definition, as Mermaid text that ends with a newline.

    Choices are diamonds, ends are rounded, Parallel and Map are boxes around their states; a dotted arrow
    is a Catch.

    Args:
        definition: A parsed Amazon States Language definition.
    """
    chart = _Chart()
    start = chart.machine(definition, prefix="", indent="    ")
    lines = ["flowchart TD", f"    start(( )) --> {start}", *chart.nodes, *chart.arrows]
    return "\n".join(lines) + "\n"


class _Chart:
    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.arrows: list[str] = []
        self._ids: dict[tuple[str, str], str] = {}

    def machine(self, definition: dict[str, Any], *, prefix: str, indent: str) -> str:
        states: dict[str, Any] = definition["States"]
        for name in states:
            self._ids[prefix, name] = f"s{len(self._ids)}"
        for name, state in states.items():
            self._state(name, state, prefix=prefix, indent=indent)
        return self._ids[prefix, definition["StartAt"]]

    def _state(self, name: str, state: dict[str, Any], *, prefix: str, indent: str) -> None:
        kind = state["Type"]
        identifier = self._ids[prefix, name]
        if kind in ("Parallel", "Map"):
            inner = state.get("Branches") or [state.get("ItemProcessor") or state["Iterator"]]
            self.nodes.append(f"{indent}subgraph {identifier} [{_quoted(name)}]")
            for position, branch in enumerate(inner):
                self.machine(branch, prefix=f"{prefix}{name}/{position}/", indent=indent + "    ")
            self.nodes.append(f"{indent}end")
        else:
            opening, closing = _SHAPES.get(kind, ("[", "]"))
            self.nodes.append(f"{indent}{identifier}{opening}{_quoted(_label(name, state))}{closing}")
        if "Next" in state:
            self._arrow(prefix, name, state["Next"])
        for rule in state.get("Choices", ()):
            self._arrow(prefix, name, rule["Next"], text=rule.get("Comment", ""))
        if "Default" in state:
            self._arrow(prefix, name, state["Default"], text="else" if state.get("Choices") else "")
        for catcher in state.get("Catch", ()):
            self._arrow(prefix, name, catcher["Next"], text=_errors(catcher), line="-.->")

    def _arrow(self, prefix: str, origin: str, target: str, *, text: str = "", line: str = "-->") -> None:
        label = f"|{_quoted(text)}| " if text else ""
        self.arrows.append(f"    {self._ids[prefix, origin]} {line}{label or ' '}{self._ids[prefix, target]}")


def _errors(catcher: dict[str, Any]) -> str:
    names = [error for error in catcher["ErrorEquals"] if error != "States.ALL"]
    return ", ".join(names) or "any error"


def _label(name: str, state: dict[str, Any]) -> str:
    if state["Type"] != "Task":
        return name
    # arn:aws:states:::ecs:runTask.sync, arn:aws:states:::aws-sdk:dynamodb:updateItem
    resource = state["Resource"].split(":::")[-1].removeprefix("aws-sdk:")
    return f"{name}<br/>{resource}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "#quot;").replace("\n", " ") + '"'
