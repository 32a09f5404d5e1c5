"""The chart as a printed document: A3, landscape, as many pages as it takes, each with its heading."""

from typing import Final

from tasks.jobs.generation.schedule.chart import draw, rows, say
from tasks.jobs.generation.schedule.plan import Plan
from tasks.jobs.generation.schedule.words import WORDS

# Rows of the chart on one page; the last page has room for the crews as well.
_ROWS: Final = 44
_MOST_STRIPS: Final = 12

_PAGE: Final = """<!DOCTYPE html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
@page {{ size: A3 landscape; margin: 10mm; }}
* {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
body {{ font: 14px/1.4 "Noto Sans JP", "Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic", Meiryo,
  system-ui, sans-serif; color: #111; background: #fff; margin: 1rem; }}
header {{ display: flex; flex-wrap: wrap; gap: .25rem 2rem; align-items: baseline;
  border-bottom: 2px solid #111; padding-bottom: .3rem; margin-bottom: .5rem; }}
h1 {{ font-size: 1.4rem; margin: 0; }} dl {{ display: flex; flex-wrap: wrap; gap: .1rem 1.5rem; margin: 0; }}
dl div {{ display: flex; gap: .5rem; }} dt {{ color: #555; }}
dd {{ margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }}
section {{ break-after: page; overflow-x: auto; }} section:last-of-type {{ break-after: auto; }}
svg {{ max-width: 100%; height: auto; display: block; }}
.page {{ margin-left: auto; color: #555; }}
@media print {{ body {{ margin: 0; }} svg {{ max-height: 250mm; }} }}
@media screen and (max-width: 900px) {{ svg {{ max-width: none; }} }}
</style></head><body>
{pages}</body></html>
"""


def sheet(plan: Plan) -> str:
    """The HTML page; it loads nothing from elsewhere."""
    words = WORDS[plan.project.language]
    everything = rows(plan)
    few = len(plan.project.resources) <= _MOST_STRIPS
    parts = [everything[at : at + _ROWS] for at in range(0, len(everything), _ROWS)]
    if few and len(parts[-1]) > _ROWS - len(plan.project.resources) - 2:
        cut = _ROWS - len(plan.project.resources) - 2
        parts[-1:] = [parts[-1][:cut], parts[-1][cut:]]
    title = plan.project.name or words["title"]
    heading = say(title if title == words["title"] else f"{words['title']} {title}")
    pages = []
    for number, part in enumerate(parts, start=1):
        last = number == len(parts)
        pages.append(
            f"<section><header><h1>{heading}</h1>"
            f"<dl>{_facts(plan)}</dl><span class=page>{number}/{len(parts)}</span></header>\n"
            f"{draw(plan, part, resources=few and last)}</section>\n"
        )
    return _PAGE.format(language=plan.project.language, title=say(title), pages="".join(pages))


def _facts(plan: Plan) -> str:
    words = WORDS[plan.project.language]
    sure = words["optimal"] if plan.optimal else f"{words['at most']} {plan.gap:.1%}"
    if plan.project.language == "ja" and not plan.optimal:
        sure = f"{plan.gap:.1%} {words['at most']}"
    facts = {
        "period": f"{plan.project.start} - {plan.finish}",
        "workdays": plan.days,
        "bound": plan.bound_finish,
        "gap": sure,
    }
    if plan.project.deadline:
        facts["deadline"] = plan.project.deadline
    return "".join(f"<div><dt>{words[key]}</dt><dd>{say(value)}</dd></div>" for key, value in facts.items())
