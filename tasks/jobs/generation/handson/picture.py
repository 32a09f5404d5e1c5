"""The graph of a project as SVG: what waits stands below what it waits for; a mark tells the state."""

import html
import unicodedata
from typing import Final

from tasks.jobs.generation.handson.labels import LABELS
from tasks.jobs.generation.handson.layout import HEIGHT, WIDTH, Point, lay_out
from tasks.jobs.generation.handson.running import Lane, State

_MARGIN: Final = 12
_LEGEND: Final = 26
# Half-width characters in a line of a box, and lines.
_LINE: Final = 20
_LINES: Final = 2
_HEAD: Final = 7

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
    layout = lay_out(graph)
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN + _LEGEND
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
        f'<g transform="translate({_MARGIN} {_MARGIN})">',
        *(_arrow(points) for points in layout.lines),
        *(_box(lane, name, layout.boxes[name]) for name in graph.order),
        "</g>",
        _legend(lane, height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrow(points: list[Point]) -> str:
    """A line that bends between rows only, and an arrowhead."""
    x, y = points[0]
    path = [f"M{x:g} {y:g}"]
    for number, (to_x, to_y) in enumerate(points[1:], start=1):
        end_y = to_y - _HEAD if number == len(points) - 1 else to_y
        half = (end_y - y) / 2
        path.append(f"C{x:g} {y + half:g} {to_x:g} {end_y - half:g} {to_x:g} {end_y:g}")
        x, y = to_x, to_y
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="#9aa7b4" stroke-width="1.2"/>'
        f'<path d="M{x:g} {y:g}l-3.5 -{_HEAD}h7z" fill="#9aa7b4"/>'
    )


def _box(lane: Lane, name: str, place: Point) -> str:
    standing, task = lane.standings[name], lane.graph.tasks[name]
    fill, border, mark = _LOOK[standing.state]
    dashes = ' stroke-dasharray="4 3"' if standing.state is not State.SUCCEEDED else ""
    x, y = place
    lines = _wrapped(task.title)
    first = y + HEIGHT / 2 + 4 - (len(lines) - 1) * 7
    texts = "".join(
        f'<text x="{x + 24:g}" y="{first + 14 * row:g}">{html.escape(line)}</text>'
        for row, line in enumerate(lines)
    )
    about = f"{task.title}: {LABELS[lane.graph.project.language][standing.state]}"
    return (
        f'<a href="#{name}"><g><title>{html.escape(about)}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" '
        f'stroke="{border}" stroke-width="1.4"{dashes}/>'
        f'<text x="{x + 8:g}" y="{y + HEIGHT / 2 + 4:g}" fill="{border}" font-weight="bold">{mark}</text>'
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
