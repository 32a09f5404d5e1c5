"""A guide as a page that a person reads, and the page that lists all. Nothing is loaded from elsewhere."""

import html
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markdown_it import MarkdownIt

from tasks.jobs.generation.handson.finished import Record
from tasks.jobs.generation.handson.labels import LABELS
from tasks.jobs.generation.handson.picture import draw
from tasks.jobs.generation.handson.questions import GENERAL_FORM
from tasks.jobs.generation.handson.remaining import duration
from tasks.jobs.generation.handson.running import Lane, State

# The engine whose pages must say what they are.
_OFFLINE: Final = "offline/"
_LOWEST_HEADING: Final = 6

_STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.75 "Noto Sans JP", "Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic", Meiryo, system-ui,
  sans-serif; color: #1b2430; background: #fff; margin: 0 auto; padding: 1.5rem; max-width: 60rem; }
header { border-bottom: 2px solid #1b2430; margin-bottom: 1rem; padding-bottom: .75rem; }
h1 { font-size: 1.7rem; line-height: 1.35; margin: .2rem 0; } h2 { font-size: 1.3rem; margin: 0 0 .5rem; }
.kind { color: #5b6b7b; margin: 0; } .facts { color: #5b6b7b; margin: .3rem 0 0; font-size: .9rem; }
.note { background: #fff6dc; border-left: 4px solid #d9a400; padding: .5rem .9rem; }
figure { margin: 1rem 0; overflow-x: auto; text-align: center; }
nav ol { columns: 2; padding-left: 1.6rem; } nav li { break-inside: avoid; }
section { border-top: 1px solid #d5dce3; padding: 1.2rem 0 .6rem; }
section.failed, section.skipped { color: #5b6b7b; } .failed .why { color: #c62828; }
pre { background: #f4f6f8; padding: .75rem 1rem; overflow-x: auto; border-radius: 4px; line-height: 1.45; }
code { font-family: ui-monospace, "Noto Sans Mono CJK JP", monospace; font-size: .92em; }
table { border-collapse: collapse; }
th, td { border: 1px solid #d5dce3; padding: .3rem .6rem; text-align: left; }
dl.value { margin: .3rem 0; } dl.value > dt { font-weight: 600; }
dl.value > dd { margin: 0 0 .5rem 1.2rem; }
ol.value > li { margin-bottom: .6rem; }
.sources, .builds { font-size: .85rem; color: #5b6b7b; } .sources ul { margin: .2rem 0; }
.sources, li, p, td, dd { overflow-wrap: anywhere; }
@media (max-width: 40rem) { nav ol { columns: 1; } body { padding: 1rem; } }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure svg { max-width: 100%; height: auto; } a { color: inherit; text-decoration: none; } }
"""

_PAGE: Final = """<!DOCTYPE html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{style}</style></head><body>
{body}</body></html>
"""


def guide_page(lane: Lane) -> str:
    """The page of one guide."""
    project = lane.graph.project
    words = LABELS[project.language]
    parts = [
        f"<header><p class=kind>{words['kind']}</p><h1>{html.escape(project.title)}</h1>",
        *(f"<p><b>{words[name]}</b>: {_inline(text)}</p>" for name, text in _about(lane) if text),
        f"<p class=facts>{_facts(lane)}</p></header>\n",
    ]
    if any(record.model.startswith(_OFFLINE) for record in _records(lane)):
        parts.append(f"<p class=note>{words['offline']}</p>\n")
    if lane.count(State.SUCCEEDED) < len(lane.standings):
        parts.append(f"<p class=note>{words['again']}</p>\n")
    parts.append(f"<nav><h2>{words['contents']}</h2><ol>")
    parts += [
        f'<li><a href="#{name}">{html.escape(_title(lane, name))}</a></li>' for name in lane.graph.order
    ]
    parts.append(f"</ol></nav>\n<figure><figcaption>{words['graph']}</figcaption>\n{draw(lane)}</figure>\n")
    parts += [_section(lane, number, name) for number, name in enumerate(lane.graph.order, start=1)]
    return _PAGE.format(
        language=project.language, title=html.escape(project.title), style=_STYLE, body="".join(parts)
    )


def list_page(guides: Sequence[Mapping[str, Any]]) -> str:
    """The page that leads to all guides of a run, from their summaries."""
    language = next((guide["language"] for guide in guides if "language" in guide), "en")
    words = LABELS[language]
    rows = []
    for guide in guides:
        title, tasks = html.escape(guide["title"]), guide["tasks"]
        counts = ", ".join(f"{words[state]} {tasks[state]}" for state in State if state in tasks)
        linked = f'<a href="{guide["id"]}/index.html">{title}</a>' if tasks else title
        cells = (linked, sum(tasks.values()), counts or words[State.SKIPPED])
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    body = (
        f"<header><h1>{words['all']}</h1></header><table><thead><tr><th>{words['project']}</th>"
        f"<th>{words['tasks']}</th><th></th></tr></thead><tbody>{''.join(rows)}</tbody></table>\n"
    )
    return _PAGE.format(language=language, title=words["all"], style=_STYLE, body=body)


def _about(lane: Lane) -> list[tuple[str, str]]:
    return [("goal", lane.graph.project.goal), ("audience", lane.graph.project.audience)]


def _facts(lane: Lane) -> str:
    words = LABELS[lane.graph.project.language]
    records = _records(lane)
    counts = [f"{words[state]} {lane.count(state)}" for state in State if lane.count(state)]
    models = sorted({record.model for record in records})
    facts = [f"{len(lane.standings)} {words['tasks']}: {', '.join(counts)}"]
    if models:
        facts.append(f"{words['model']}: {', '.join(models)}")
        facts.append(f"{words['minutes']}: {duration(sum(record.seconds for record in records))}")
        facts.append(f"{max(record.finished_at for record in records)[:10]} {words['made']}")
    return html.escape(" / ".join(facts))


def _records(lane: Lane) -> list[Record]:
    results = [standing.result for standing in lane.standings.values()]
    return [result for result in results if isinstance(result, Record)]


def _title(lane: Lane, name: str) -> str:
    return lane.graph.tasks[name].title


def _section(lane: Lane, number: int, name: str) -> str:
    words = LABELS[lane.graph.project.language]
    standing, task = lane.standings[name], lane.graph.tasks[name]
    parts = [f'<section id="{name}" class="{standing.state}"><h2>{number}. {html.escape(task.title)}</h2>\n']
    if task.after:
        links = ", ".join(
            f'<a href="#{other}">{html.escape(_title(lane, other))}</a>' for other in task.after
        )
        parts.append(f"<p class=builds>{words['builds_on']}: {links}</p>\n")
    if isinstance(standing.result, Record):
        parts.append(_value(standing.result.output, task.form or GENERAL_FORM))
        parts.append(_sources(standing.result, words["sources"]))
    elif standing.state is State.FAILED:
        parts.append(f"<p class=why>{words['why_failed']} {html.escape(standing.reason)}</p>\n")
    elif standing.state is State.SKIPPED:
        because = words["why_skipped"].format(title=_title(lane, standing.because))
        parts.append(f"<p class=why>{html.escape(because)}</p>\n")
    else:
        parts.append(f"<p>{words[standing.state]}</p>\n")
    parts.append("</section>\n")
    return "".join(parts)


def _sources(record: Record, label: str) -> str:
    if not record.sources:
        return ""
    items = []
    for source in record.sources:
        title, address = html.escape(source.title), html.escape(source.address)
        linked = source.address.startswith(("https://", "http://", "#"))
        where = f'<a href="{address}" rel="noreferrer">{title}</a>' if linked else f"{title} ({address})"
        items.append(f"<li>[{source.number}] {where}</li>")
    return f"<div class=sources>{label}<ul>{''.join(items)}</ul></div>\n"


def _value(value: Any, form: Mapping[str, Any]) -> str:
    """Any output as HTML: Markdown for texts, else lists and definitions with the names that `form` gives."""
    if isinstance(value, str):
        return _markdown(value)
    if isinstance(value, dict):
        forms = form.get("properties", {})
        if len(value) == 1:
            name, member = next(iter(value.items()))
            return _value(member, _form(forms, name))
        members = "".join(
            f"<dt>{html.escape(str(_form(forms, name).get('title', name)))}</dt>"
            f"<dd>{_inner(member, _form(forms, name))}</dd>"
            for name, member in value.items()
        )
        return f"<dl class=value>{members}</dl>\n"
    if isinstance(value, list):
        items = _form(form, "items")
        return f"<ol class=value>{''.join(f'<li>{_inner(item, items)}</li>' for item in value)}</ol>\n"
    return html.escape(str(value))


def _form(forms: Any, name: str) -> Mapping[str, Any]:
    """The schema of a member, as far as it is written down in its place."""
    found = forms.get(name) if isinstance(forms, dict) else None
    return found if isinstance(found, dict) else {}


def _inner(value: Any, form: Mapping[str, Any]) -> str:
    return _inline(value) if isinstance(value, str) and "\n" not in value else _value(value, form)


def _reader() -> MarkdownIt:
    # No HTML of the model's own, and no pictures: they would be fetched from wherever it says.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def _markdown(text: str) -> str:
    reader = _reader()
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            level = max(3, min(_LOWEST_HEADING, int(token.tag[1:]) + (0 if int(token.tag[1:]) > 2 else 2)))  # noqa: PLR2004  (h1 and h2 are the page's own)
            token.tag = f"h{level}"
    rendered: str = reader.renderer.render(tokens, reader.options, {})
    return rendered


def _inline(text: str) -> str:
    rendered: str = _reader().renderInline(text)
    return rendered
