"""The summary as one HTML page that loads nothing from elsewhere."""

import html
from collections.abc import Iterable, Mapping
from typing import Any, Final

_REASONS: Final = {
    "unreadable": "not readable as a document",
    "empty": "no text",
    "too_large": "longer than allowed",
    "id_used_twice": "another document has the same id",
    "invalid_output": "the answer did not have the form, also after asking again",
    "refused": "the model refused, or its answer was cut off",
    "bad_request": "the endpoint refused the request",
    "gave_up": "failed each time while others succeeded",
    "cost_ceiling": "the money was used up",
    "shard_failed": "its shard failed and was tolerated",
}
_COUNT: Final = "documents"
_STYLE: Final = """
:root { color-scheme: light dark; --bar: #3a6ea5; --bad: #b3423a; --line: #8886; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; }
dl div { border: 1px solid var(--line); border-radius: .4rem;
  padding: .5rem .75rem; }
dt { font-size: .8rem; opacity: .75; }
dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .5rem; }
th { border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.bar { background: var(--bar); height: .7rem; border-radius: .2rem; min-width: 1px; }
.bad { background: var(--bad); }
small { opacity: .75; }
"""


def page(told: Mapping[str, Any], title: str) -> str:
    """The page for the members of a summary."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        _figures(told),
    ]
    if told["reasons"]:
        parts += ["<h2>Dead letters</h2>", _reasons(told)]
    for name, values in told["answers"].items():
        parts += [f"<h2>Answers: {_text(name)}</h2>", _bars(values)]
    if "confusion" in told:
        parts += ["<h2>Where label and answer differ</h2>", _confusion(told["confusion"])]
    return "\n".join([*parts, "</body></html>", ""])


def _figures(told: Mapping[str, Any]) -> str:
    figures = [
        ("documents", f"{told['documents']:,}"),
        ("answered", f"{told['answered']:,}"),
        ("dead letters", f"{told['dead_letters']:,} ({told['failure_rate']:.2%})"),
        (
            "shards",
            f"{told['shards']:,}" + (f", {told['shards_failed']} failed" if told["shards_failed"] else ""),
        ),
        ("requests", f"{told['requests']:,}"),
        ("throttled", f"{told['throttled']:,}"),
        ("answered after a repair or retry", f"{told['repaired']:,}"),
        (
            "time of a request, p50 / p95",
            f"{told['latency_p50_seconds']:.3g} / {told['latency_p95_seconds']:.3g} s",
        ),
        ("tokens in / out", f"{told['input_tokens']:,} / {told['output_tokens']:,}"),
        ("cost", f"${told['dollars']:,.4f}"),
    ]
    if "agreement" in told:
        figures.append((f"agree with their label, of {told['labelled']:,}", f"{told['agreement']:.2%}"))
    cells = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in figures)
    return f"<dl>{cells}</dl>"


def _reasons(told: Mapping[str, Any]) -> str:
    rows = []
    for reason, count in told["reasons"].items():
        examples = "<br>".join(
            f"<small>{_text(one['id'])}: {_text(one['detail'])}</small>"
            for one in told["examples"][reason][:3]
        )
        words = _REASONS.get(reason, "")
        rows.append(
            f"<tr><td>{_text(reason)}<br><small>{words}</small></td>{_number(count)}<td>{examples}</td></tr>"
        )
    return _table(("reason", _COUNT, "for example"), rows)


def _bars(values: Mapping[str, int]) -> str:
    most = max(values.values())
    rows = [
        f"<tr><td>{_text(name)}</td>{_number(count)}"
        f'<td style="width:60%"><div class="bar" style="width:{100 * count / most:.1f}%"></div></td></tr>'
        for name, count in values.items()
    ]
    return _table(("answer", _COUNT, ""), rows)


def _confusion(pairs: Iterable[Mapping[str, Any]]) -> str:
    wrong = sorted((one for one in pairs if one["label"] != one["answer"]), key=lambda one: -one["documents"])
    rows = [
        f"<tr><td>{_text(one['label'])}</td><td>{_text(one['answer'])}</td>{_number(one['documents'])}</tr>"
        for one in wrong[:30]
    ]
    return _table(("label", "answer", _COUNT), rows) if rows else "<p>Nowhere.</p>"


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th{' class=n' if name == _COUNT else ''}>{_text(name)}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _number(value: int) -> str:
    return f'<td class="n">{value:,}</td>'


def _text(value: object) -> str:
    return html.escape(str(value))
