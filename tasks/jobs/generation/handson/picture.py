"""The graph of a project as SVG: what waits stands right of what it waits for; a mark tells the state."""

import html
import unicodedata
from typing import Final

from tasks.jobs.generation.handson.graph import Graph
from tasks.jobs.generation.handson.labels import LABELS
from tasks.jobs.generation.handson.running import Lane, State

_WIDTH: Final = 148
_HEIGHT: Final = 44
_GAP_X: Final = 46
_GAP_Y: Final = 14
_MARGIN: Final = 12
_LEGEND: Final = 26
# Half-width characters in a line of a box, and lines.
_LINE: Final = 20
_LINES: Final = 2
_SWEEPS: Final = 6

# Fill, border, mark. Marks and dashes survive a black-and-white copier.
_LOOK: Final = {
    State.SUCCEEDED: ("#e3f3e6", "#2e7d32", "✓"),
    State.FAILED: ("#fde4e1", "#c62828", "✗"),
    State.SKIPPED: ("#f1f1f1", "#8a8a8a", "\N{EN DASH}"),
    State.PENDING: ("#ffffff", "#5b6b7b", "…"),
    State.RUNNING: ("#e3edfb", "#1f5fbf", "▶"),
}


def draw(lane: Lane) -> str:
    """An SVG picture that stands for itself; boxes link to ``#id`` of the page it is part of."""
    graph = lane.graph
    columns = _columns(graph)
    tallest = max(map(len, columns))
    height = 2 * _MARGIN + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y + _LEGEND
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X
    places: dict[str, tuple[float, float]] = {}
    for number, column in enumerate(columns):
        top = _MARGIN + (tallest - len(column)) * (_HEIGHT + _GAP_Y) / 2
        for row, name in enumerate(column):
            places[name] = (_MARGIN + number * (_WIDTH + _GAP_X), top + row * (_HEIGHT + _GAP_Y))
    title = html.escape(graph.project.title)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="{title}" font-size="12" '
        'font-family="Noto Sans JP, Noto Sans CJK JP, Hiragino Sans, Yu Gothic, sans-serif">'
    )
    parts = [
        head,
        f"<title>{title}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *(_arrow(places[other], places[name]) for name in graph.order for other in graph.tasks[name].after),
        *(_box(lane, name, places[name]) for name in graph.order),
        _legend(lane, height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _columns(graph: Graph) -> list[list[str]]:
    """Tasks by depth; a column is ordered by the mean place of the neighbours, so that lines cross little."""
    columns: list[list[str]] = [[] for _ in range(max(graph.depth.values()) + 1)]
    for name in graph.tasks:
        columns[graph.depth[name]].append(name)
    place = {name: float(row) for column in columns for row, name in enumerate(column)}
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            mean: dict[str, float] = {}
            for name in column:
                neighbours = graph.tasks[name].after if forward else graph.followers[name]
                around = [place[other] for other in neighbours]
                mean[name] = sum(around) / len(around) if around else place[name]
            column.sort(key=lambda name, mean=mean: mean[name])  # type: ignore[misc]  # mypy and lambda defaults
            place.update({name: row - len(column) / 2 for row, name in enumerate(column)})
    return columns


def _arrow(source: tuple[float, float], target: tuple[float, float]) -> str:
    x1, y1 = source[0] + _WIDTH, source[1] + _HEIGHT / 2
    x2, y2 = target[0], target[1] + _HEIGHT / 2
    bend = max(_GAP_X / 2, (x2 - x1) / 2)
    return (
        f'<path d="M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2 - 5:g} {y2:g}" fill="none" '
        'stroke="#9aa7b4" stroke-width="1.2"/>'
        f'<path d="M{x2:g} {y2:g}l-7 -3.5v7z" fill="#9aa7b4"/>'
    )


def _box(lane: Lane, name: str, place: tuple[float, float]) -> str:
    standing, task = lane.standings[name], lane.graph.tasks[name]
    fill, border, mark = _LOOK[standing.state]
    dashes = ' stroke-dasharray="4 3"' if standing.state is not State.SUCCEEDED else ""
    x, y = place
    lines = _wrapped(task.title)
    first = y + _HEIGHT / 2 + 4 - (len(lines) - 1) * 7
    texts = "".join(
        f'<text x="{x + 24:g}" y="{first + 14 * row:g}">{html.escape(line)}</text>'
        for row, line in enumerate(lines)
    )
    about = f"{task.title}: {LABELS[lane.graph.project.language][standing.state]}"
    return (
        f'<a href="#{name}"><g><title>{html.escape(about)}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" '
        f'stroke="{border}" stroke-width="1.4"{dashes}/>'
        f'<text x="{x + 8:g}" y="{y + _HEIGHT / 2 + 4:g}" fill="{border}" font-weight="bold">{mark}</text>'
        f"{texts}</g></a>"
    )


def _legend(lane: Lane, height: float) -> str:
    words = LABELS[lane.graph.project.language]
    parts, x = [], float(_MARGIN)
    for state in State:
        count = lane.count(state)
        if count:
            _, border, mark = _LOOK[state]
            text = f"{mark} {words[state]} {count}"
            parts.append(f'<text x="{x:g}" y="{height - 10:g}" fill="{border}">{html.escape(text)}</text>')
            x += 20 + 7 * _width(text)
    return "".join(parts)


def _wrapped(text: str) -> list[str]:
    """At most two lines, cut at spaces where there are any, with an ellipsis for what does not fit."""
    lines = [""]
    for word in _pieces(text):
        if _width(lines[-1] + word.rstrip()) <= _LINE or not lines[-1]:
            lines[-1] += word
        else:
            lines.append(word.lstrip())
    shown = [line.strip() for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown[-1] = _cut(shown[-1], _LINE - 2) + "…"
    return [line if _width(line) <= _LINE else _cut(line, _LINE - 2) + "…" for line in shown]


def _pieces(text: str) -> list[str]:
    """Where a line may be broken: after spaces, and around wide characters."""
    pieces = [""]
    for character in text:
        wide = _width(character) > 1
        if wide or (pieces[-1] and (pieces[-1][-1] == " " or _width(pieces[-1][-1]) > 1)):
            pieces.append("")
        pieces[-1] += character
    return pieces


def _cut(text: str, room: int) -> str:
    while _width(text) > room:
        text = text[:-1]
    return text


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
