"""Where the boxes and lines of a graph's picture go: rows by depth, and lines around boxes."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tasks.jobs.generation.handson.graph import Graph

WIDTH: Final = 152
HEIGHT: Final = 44
_GAP_X: Final = 18
_GAP_Y: Final = 40
# The room of a line that passes a row.
_LANE: Final = 10
_SWEEPS: Final = 12

Point = tuple[float, float]
# A task, or one row of the line from a task to another: (from, to, row).
_Item = str | tuple[str, str, int]


@dataclass(frozen=True)
class Layout:
    """Upper left corners of the boxes, the points that each line goes through, and the size of it all."""

    boxes: dict[str, Point]
    lines: list[list[Point]]
    width: float
    height: float


def lay_out(graph: Graph) -> Layout:
    """Place tasks in rows below all that they wait for; each row ordered so that lines cross little."""
    rows = _rows(graph)
    widths = [_width(row) for row in rows]
    width = max(widths)
    boxes: dict[str, Point] = {}
    middle: dict[_Item, Point] = {}
    for number, row in enumerate(rows):
        x, y = (width - widths[number]) / 2, number * (HEIGHT + _GAP_Y)
        for item in row:
            room = WIDTH if isinstance(item, str) else _LANE
            middle[item] = (x + room / 2, float(y))
            if isinstance(item, str):
                boxes[item] = (x, float(y))
            x += room + _GAP_X
    lines = [_line(graph, middle, other, name) for name in graph.order for other in _before(graph, name)]
    return Layout(boxes, lines, width, len(rows) * (HEIGHT + _GAP_Y) - _GAP_Y)


def _before(graph: Graph, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(graph.tasks[name].after))


def _line(graph: Graph, middle: dict[_Item, Point], source: str, target: str) -> list[Point]:
    """From the lower edge of a box to the upper edge of another, through its lane in every row between."""
    points = [(middle[source][0], middle[source][1] + HEIGHT)]
    for row in range(graph.depth[source] + 1, graph.depth[target]):
        x, y = middle[source, target, row]
        points += [(x, y), (x, y + HEIGHT)]
    return [*points, middle[target]]


def _rows(graph: Graph) -> list[list[_Item]]:
    rows: list[list[_Item]] = [[] for _ in range(max(graph.depth.values()) + 1)]
    above: dict[_Item, list[_Item]] = {}
    below: dict[_Item, list[_Item]] = {}
    for name in graph.tasks:
        rows[graph.depth[name]].append(name)
        for other in _before(graph, name):
            chain: list[_Item] = [other]
            for number in range(graph.depth[other] + 1, graph.depth[name]):
                chain.append((other, name, number))
                rows[number].append((other, name, number))
            chain.append(name)
            for upper, lower in pairwise(chain):
                below.setdefault(upper, []).append(lower)
                above.setdefault(lower, []).append(upper)
    place = {item: index - len(row) / 2 for row in rows for index, item in enumerate(row)}
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            _order(row, above if downwards else below, place)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _order(row: list[_Item], neighbours: dict[_Item, list[_Item]], place: dict[_Item, float]) -> None:
    """Order a row by the mean place of each item's neighbours."""
    mean: dict[_Item, float] = {}
    for item in row:
        around = [place[other] for other in neighbours.get(item, ())]
        mean[item] = sum(around) / len(around) if around else place[item]
    row.sort(key=mean.__getitem__)
    place.update({item: index - len(row) / 2 for index, item in enumerate(row)})


def _crossings(rows: list[list[_Item]], below: dict[_Item, list[_Item]]) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        at = {item: index for index, item in enumerate(lower)}
        ends = [sorted(at[other] for other in below.get(item, ())) for item in upper]
        for index, mine in enumerate(ends):
            for others in ends[index + 1 :]:
                count += sum(end > other for end in mine for other in others)
    return count


def _width(row: list[_Item]) -> float:
    return sum(WIDTH if isinstance(item, str) else _LANE for item in row) + _GAP_X * (len(row) - 1)
