"""The bar chart as SVG: readable in black and white, at arm's length, on A3.

Bars without slack are dark, others light: the difference survives a photocopier. No scripts, no fonts from
elsewhere, and every text of the project is escaped.
"""

import html
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from tasks.jobs.generation.schedule.calendars import DAY
from tasks.jobs.generation.schedule.plan import Line, Plan, use_of, working_days
from tasks.jobs.generation.schedule.words import WORDS

_WIDTH: Final = 1560
_NAME, _DAYS, _DATE, _SLACK = 230, 38, 46, 38
_LEFT: Final = _NAME + _DAYS + 2 * _DATE + _SLACK
_HEAD: Final = 50
_ROW: Final = 20
_STRIP: Final = 26
_MOST_ARROWS: Final = 80
_SUNDAY: Final = 6
_STYLE: Final = """
text{font:11px "Noto Sans JP","Noto Sans CJK JP","Hiragino Sans","Yu Gothic",Meiryo,system-ui,sans-serif;
fill:#111}.h{font-weight:600}.n{text-anchor:end;font-variant-numeric:tabular-nums}
.c{text-anchor:middle}.s{font-size:9px}
.off{fill:#e4e6ea}.grid{stroke:#c9ccd1;stroke-width:.6}.line{stroke:#6b7078;stroke-width:1}
.group{fill:#f1f3f6}.tight{fill:#1f3a5f}.loose{fill:#b9d3ef;stroke:#1f3a5f;stroke-width:1}
.slack{stroke:#1f3a5f;stroke-width:1.2;stroke-dasharray:2 2}.rain{fill:#fff;opacity:.65}
.due{fill:none;stroke:#c62828;stroke-width:2}.arrow{fill:none;stroke:#7a818b;stroke-width:.8}
.use{fill:#8fa9c4}.cap{stroke:#c62828;stroke-width:1;stroke-dasharray:3 2}.sun{fill:#b71c1c}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the chart: a heading of a group, or an activity."""

    heading: str = ""
    line: Line | None = None


def rows(plan: Plan) -> list[Row]:
    """The rows of the whole chart: groups by their first day, activities by theirs."""
    groups: dict[str, list[Line]] = {}
    for line in plan.lines:
        groups.setdefault(line.activity.group, []).append(line)
    for lines in groups.values():
        lines.sort(key=lambda line: (line.placed.begins, line.placed.finish))
    found = []
    for group, lines in sorted(groups.items(), key=lambda item: item[1][0].placed.begins):
        if len(groups) > 1:
            found.append(Row(heading=group or WORDS[plan.project.language]["other"]))
        found += [Row(line=line) for line in lines]
    return found


def draw(plan: Plan, part: Sequence[Row] | None = None, *, resources: bool = True) -> str:
    """The SVG of these rows (default: all), with the use of crews and equipment below them if wanted."""
    return "".join(_Chart(plan, rows(plan) if part is None else part, resources=resources).svg())


def say(text: object) -> str:
    """Text of the project, safe in SVG and HTML; what XML forbids is shown as a box."""
    clean = "".join(
        c if c >= " " and c not in "\ufffe\uffff" and not "\ud800" <= c <= "\udfff" else "□"
        for c in str(text)
    )
    return html.escape(clean, quote=True)


def shorten(text: str, room: int) -> str:
    """`text` in `room` half-width columns."""
    widths = [2 if unicodedata.east_asian_width(c) in "FWA" else 1 for c in text]
    if sum(widths) <= room:
        return text
    used, kept = 0, []
    for character, width in zip(text, widths, strict=True):
        if used + width > room - 1:
            break
        used += width
        kept.append(character)
    return "".join(kept) + "…"


def _rect(kind: str, x: float, y: float, width: float, height: float, inside: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.2f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place}>{inside}</rect>' if inside else f'<rect class="{kind}" {place}/>'


class _Chart:
    def __init__(self, plan: Plan, part: Sequence[Row], *, resources: bool) -> None:
        self._plan = plan
        self._rows = part
        self._words = WORDS[plan.project.language]
        self._first = plan.project.start - DAY
        last = max([plan.finish, *(line.activity.deadline or plan.finish for line in plan.lines)])
        if plan.project.deadline:
            last = max(last, plan.project.deadline)
        self._days = (min(last, plan.finish + timedelta(days=10)) - self._first).days + 2
        self._step = min(24.0, (_WIDTH - _LEFT) / self._days)
        self._width = _LEFT + self._step * self._days
        self._resources = plan.project.resources if resources else ()
        self._rows_end = _HEAD + _ROW * len(part)
        strips = _STRIP * len(self._resources) + (_ROW if self._resources else 0)
        self._height = self._rows_end + strips + 26

    def _x(self, day: date) -> float:
        return _LEFT + (day - self._first).days * self._step

    def svg(self) -> Iterator[str]:
        title = say(self._plan.project.name or self._words["title"])
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width:.0f} {self._height:.0f}" '
            f'width="{self._width:.0f}" height="{self._height:.0f}" role="img" aria-label="{title}">'
            f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        )
        yield from self._calendar()
        yield from self._table_head()
        for number, row in enumerate(self._rows):
            yield from self._row(row, _HEAD + number * _ROW)
        yield from self._arrows()
        yield from self._deadline_of_project()
        yield from self._use()
        yield from self._legend()
        yield "</svg>\n"

    def _calendar(self) -> Iterator[str]:
        works = working_days(self._plan.project)
        bottom = self._height - 26
        for k in range(self._days):
            day = self._first + k * DAY
            x = self._x(day)
            if not works(day):
                yield _rect("off", x, 16, self._step, bottom - 16)
            if day.day == 1 or k == 0:
                room = (date(day.year + day.month // 12, day.month % 12 + 1, 1) - day).days * self._step
                text = f"{day.year}-{day.month:02}" if room > 50 else f"{day.month:02}"  # noqa: PLR2004  (pixels)
                if room > 14:  # noqa: PLR2004  (pixels)
                    yield f'<text class="h" x="{x + 3:.1f}" y="12">{text}</text>'
                yield f'<path class="line" d="M{x:.1f} 0V{bottom:.0f}"/>'
            elif day.weekday() == 0 or self._step > 8:  # noqa: PLR2004  (pixels)
                yield f'<path class="grid" d="M{x:.1f} 16V{bottom:.0f}"/>'
            yield from self._day_names(day, x + self._step / 2)

    def _day_names(self, day: date, middle: float) -> Iterator[str]:
        red = " sun" if day.weekday() == _SUNDAY else ""
        if self._step >= 11:  # noqa: PLR2004  (pixels)
            yield f'<text class="c s{red}" x="{middle:.1f}" y="29">{day.day}</text>'
            letter = self._words["weekdays"][day.weekday()]
            yield f'<text class="c s{red}" x="{middle:.1f}" y="42">{letter}</text>'
        elif day.weekday() == 0 and self._step >= 2.2:  # noqa: PLR2004  (pixels)
            yield f'<text class="s" x="{middle - self._step / 2 + 1:.1f}" y="36">{day.day}</text>'

    def _table_head(self) -> Iterator[str]:
        words = self._words
        yield f'<text class="h" x="6" y="36">{words["activity"]}</text>'
        x = _NAME
        for width, word in ((_DAYS, "days"), (_DATE, "from"), (_DATE, "to"), (_SLACK, "slack")):
            x += width
            yield f'<text class="h n" x="{x - 5}" y="36">{words[word]}</text>'
        yield f'<path class="line" d="M0 {_HEAD}H{self._width:.0f}M0 {self._rows_end}H{self._width:.0f}"/>'

    def _row(self, row: Row, y: float) -> Iterator[str]:
        base = y + 14
        if row.line is None:
            yield f'<rect class="group" x="0" y="{y + 0.5}" width="{_LEFT}" height="{_ROW - 1}"/>'
            yield f'<text class="h" x="6" y="{base}">{say(shorten(row.heading, 60))}</text>'
            return
        line = row.line
        activity, placed = line.activity, line.placed
        name = activity.name or activity.id
        yield f'<path class="grid" d="M0 {y + _ROW}H{self._width:.0f}"/>'
        yield f'<text x="14" y="{base}">{say(shorten(name, 35))}</text>'
        shown = f"{placed.start:%m/%d}" if placed.start else ""
        cells = (activity.duration or "", shown, f"{placed.finish:%m/%d}", line.slack)
        x = _NAME
        for width, cell in zip((_DAYS, _DATE, _DATE, _SLACK), cells, strict=True):
            x += width
            yield f'<text class="n" x="{x - 5}" y="{base}">{cell}</text>'
        yield from self._bar(line, y)

    def _bar(self, line: Line, y: float) -> Iterator[str]:
        placed, activity = line.placed, line.activity
        kind = "loose" if line.slack else "tight"
        right = self._x(placed.over)
        tip = f"<title>{say(activity.label)}: {placed.start or ''} - {placed.finish}</title>"
        if placed.start is None:
            yield f'<path class="{kind}" d="M{right - 6:.1f} {y + 10}l6 -6l6 6l-6 6z">{tip}</path>'
        else:
            x = self._x(placed.start)
            yield _rect(kind, x, y + 4, max(1.5, right - x), 12, tip)
            works = working_days(self._plan.project, activity)
            day = placed.start
            while day <= placed.finish:
                if not works(day):
                    yield _rect("rain", self._x(day), y + 5, self._step, 10)
                day += DAY
        if activity.deadline:
            x = self._x(activity.deadline + DAY)
            if x <= self._width:
                tip = f"<title>{activity.deadline}</title>"
                yield f'<path class="due" d="M{x:.1f} {y + 2}V{y + 18}">{tip}</path>'

    def _arrows(self) -> Iterator[str]:
        places = {row.line.activity.id: k for k, row in enumerate(self._rows) if row.line}
        lines = {row.line.activity.id: row.line for row in self._rows if row.line}
        links = [(line, link) for line in lines.values() for link in line.activity.after]
        if len(links) > _MOST_ARROWS:
            return
        for line, link in links:
            if link.activity not in places:
                continue
            other = lines[link.activity].placed
            x1 = self._x(other.over if link.kind[0] == "F" else other.begins)
            x2 = self._x(line.placed.over if link.kind[1] == "F" else line.placed.begins)
            y1 = _HEAD + places[link.activity] * _ROW + 10
            y2 = _HEAD + places[line.activity.id] * _ROW + 10
            edge = y2 - 6 if y2 > y1 else y2 + 6
            turn = max(x1, x2) + 2
            head = "m-2 -3l2 3l2 -3" if y2 > y1 else "m-2 3l2 -3l2 3"
            yield f'<path class="arrow" d="M{x1:.1f} {y1}H{turn:.1f}V{edge}{head}"/>'

    def _deadline_of_project(self) -> Iterator[str]:
        deadline = self._plan.project.deadline
        if deadline and (x := self._x(deadline + DAY)) <= self._width:
            yield f'<path class="due" d="M{x:.1f} 16V{self._rows_end}"><title>{deadline}</title></path>'

    def _use(self) -> Iterator[str]:
        if not self._resources:
            return
        top = self._rows_end + _ROW
        yield f'<text class="h" x="6" y="{top - 6}">{self._words["resources"]}</text>'
        for number, resource in enumerate(self._resources):
            y = top + number * _STRIP
            base, room = y + _STRIP - 2, _STRIP - 6
            name = shorten(resource.name or resource.id, 35)
            use = use_of(self._plan, resource.id)
            most = max(use.values(), default=0)
            yield f'<text x="14" y="{base - 7}">{say(name)}</text>'
            yield f'<text class="n" x="{_LEFT - 5}" y="{base - 7}">{most}/{resource.units}</text>'
            scale = room / max(1, resource.units)
            for day, units in use.items():
                high = units * scale
                yield _rect("use", self._x(day), base - high, self._step + 0.2, high)
            yield f'<path class="cap" d="M{_LEFT} {base - room}H{self._width:.0f}"/>'
            yield f'<path class="grid" d="M0 {base + 1}H{self._width:.0f}"/>'

    def _legend(self) -> Iterator[str]:
        words, y, x = self._words, self._height - 18, 14
        for kind, word in (("tight", "critical"), ("loose", "loose"), ("off", "off"), ("due", "deadline")):
            if kind == "due":
                yield f'<path class="due" d="M{x + 8} {y - 1}v13"/>'
            else:
                yield f'<rect class="{kind}" x="{x}" y="{y}" width="16" height="11"/>'
            yield f'<text x="{x + 22}" y="{y + 10}">{words[word]}</text>'
            x += 110
        yield f'<path class="loose" d="M{x + 2} {y + 6}l6 -6l6 6l-6 6z"/>'
        yield f'<text x="{x + 22}" y="{y + 10}">{words["milestone"]}</text>'
