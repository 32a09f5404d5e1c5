"""The report of a picture check: CSV and JSON for machines, one HTML page for editors."""

import csv
import html
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TextIO

from tasks.jobs.articles.verdicts import GOOD, MEANING, Verdict
from tasks.jobs.articles.work import Work

_COLUMNS: Final = (
    "article",
    "article_url",
    "title",
    "picture",
    "kinds",
    "verdict",
    "since",
    "status",
    "kind",
    "size",
    "final_url",
    "detail",
)
# Spreadsheets run a cell that begins like this as a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Since when a picture is bad, and in how many checks in a row."""

    since: str
    checks: int


class History:
    """Which pictures were bad at the last check, kept from run to run in ``since.json``."""

    def __init__(self, before: dict[str, Trouble]) -> None:
        self._before = before

    @classmethod
    def read(cls, directory: Path | None) -> "History":
        """From the directory that the last run left; a first run has none."""
        path = directory / "since.json" if directory else None
        if path is None or not path.is_file():
            return cls({})
        members = json.loads(path.read_text(encoding="utf-8"))
        return cls({url: Trouble(str(item["since"]), int(item["checks"])) for url, item in members.items()})

    def now(self, url: str, today: str) -> Trouble:
        """The trouble of a picture that is bad today."""
        before = self._before.get(url)
        return Trouble(today, 1) if before is None else Trouble(before.since, before.checks + 1)

    def mended(self, bad: set[str]) -> int:
        """How many that were bad the last time are not any more."""
        return len(self._before.keys() - bad)

    def before(self) -> int:
        """How many were bad the last time."""
        return len(self._before)


def write_report(work: Work, directory: Path, history: History, today: str) -> dict[str, Any]:
    """Write every file of the report into `directory`; returns the summary.

    Deterministic for the same findings, history and day.

    Raises:
        OSError: disk full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    troubles = {
        url: history.now(url, today) for url, finding in work.findings() if finding["verdict"] not in GOOD
    }
    new = sum(trouble.checks == 1 for trouble in troubles.values())
    summary = {
        "schema_version": 1,
        "checked_on": today,
        **work.counts(),
        "bad": len(troubles),
        "new": new,
        "mended": history.mended(set(troubles)),
        "bad_before": history.before(),
        "verdicts": work.verdicts(),
    }
    with _whole_file(directory / "missing-images.csv") as file:
        _write_csv(file, work, troubles)
    with _whole_file(directory / "findings.jsonl") as file:
        for url, finding in work.findings():
            file.write(json.dumps({"url": url, **finding}, ensure_ascii=False) + "\n")
    with _whole_file(directory / "missing-images.html") as file:
        _write_html(file, work, troubles, summary)
    with _whole_file(directory / "state" / "since.json") as file:
        kept = {url: {"since": item.since, "checks": item.checks} for url, item in sorted(troubles.items())}
        json.dump(kept, file, ensure_ascii=False, indent=0)
    with _whole_file(directory / "missing-images.json") as file:
        json.dump(summary, file, ensure_ascii=False, indent=1)
    return summary


@contextmanager
def _whole_file(path: Path) -> Iterator[TextIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _bad_mentions(work: Work, troubles: dict[str, Trouble]) -> Iterator[dict[str, Any]]:
    for mention in work.mentions():
        trouble = troubles.get(mention["picture"])
        if trouble is not None:
            yield {**mention, "since": trouble.since, "checks": trouble.checks}


def _write_csv(file: TextIO, work: Work, troubles: dict[str, Trouble]) -> None:
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for mention in _bad_mentions(work, troubles):
        writer.writerow([_cell(mention[name]) for name in _COLUMNS])


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_html(file: TextIO, work: Work, troubles: dict[str, Trouble], summary: dict[str, Any]) -> None:
    say = html.escape
    file.write(_HEAD.format(day=say(str(summary["checked_on"])), **_tiles(summary)))
    file.write("<h2>Articles to mend</h2>\n")
    if not troubles:
        file.write("<p class=fine>Every picture of every article is there, whole.</p>\n")
    mentions = _bad_mentions(work, troubles)
    for (url, title), group in groupby(
        mentions, key=lambda mention: (mention["article_url"], mention["title"])
    ):
        file.write(f"<section><h3>{_link(url, title or url)}</h3>\n<table>\n")
        for mention in group:
            verdict = mention["verdict"]
            status = f" ({mention['status']})" if mention["status"] else ""
            detail = f"<br><small>{say(mention['detail'])}</small>" if mention["detail"] else ""
            nights = (
                "new"
                if mention["checks"] == 1
                else f"since {say(mention['since'])}, {mention['checks']} checks"
            )
            file.write(
                f"<tr><td><span class='v {say(verdict)}'>{say(verdict)}</span></td>"
                f"<td>{say(MEANING[Verdict(verdict)])}{status}{detail}</td>"
                f"<td class=u>{_link(mention['picture'], mention['picture'])}</td><td>{nights}</td></tr>\n"
            )
        file.write("</table></section>\n")
    file.write("<h2>All verdicts</h2>\n<table>\n")
    for verdict, count in summary["verdicts"].items():
        file.write(
            f"<tr><td><span class='v {say(verdict)}'>{say(verdict)}</span></td>"
            f"<td class=n>{count:,}</td><td>{say(MEANING[Verdict(verdict)])}</td></tr>\n"
        )
    file.write("</table>\n</body></html>\n")


def _link(url: str, words: str) -> str:
    """A link, but only to the web: an address in an article may be anything."""
    if not url.startswith(("http://", "https://")):
        return html.escape(words)
    return f'<a href="{html.escape(url, quote=True)}" rel="noreferrer">{html.escape(words)}</a>'


def _tiles(summary: dict[str, Any]) -> dict[str, str]:
    return {
        name: f"{summary[name]:,}" for name in ("articles", "pictures", "references", "bad", "new", "mended")
    }


_HEAD: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Missing pictures, {day}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; --line: #8884; --card: #8881; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ margin: 0; }} h2 {{ margin-top: 2.5rem; }} h3 {{ margin: 0 0 .5rem; font-size: 1.05rem; }}
.tiles {{ display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.5rem 0; padding: 0; list-style: none; }}
.tiles li {{ background: var(--card); border-radius: .5rem; padding: .75rem 1.25rem; }}
.tiles b {{ display: block; font-size: 1.6rem; font-variant-numeric: tabular-nums; }}
section {{ border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 1rem 0; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ padding: .35rem .75rem .35rem 0; vertical-align: top; border-top: 1px solid var(--line); }}
tr:first-child td {{ border-top: 0; }}
.u {{ overflow-wrap: anywhere; }} .n {{ text-align: right; font-variant-numeric: tabular-nums; }}
.v {{ border-radius: .3rem; padding: .1rem .5rem; background: #c6282822; white-space: nowrap; }}
.v.ok, .v.redirected {{ background: #2e7d3222; }} .v.timeout, .v.server_error, .v.rate_limited,
.v.host_down {{ background: #ef6c0022; }} .fine {{ font-size: 1.1rem; }}
</style></head><body>
<h1>Missing pictures</h1><p>{day}</p>
<ul class="tiles"><li><b>{bad}</b>bad pictures</li><li><b>{new}</b>new</li><li><b>{mended}</b>mended</li>
<li><b>{pictures}</b>pictures checked</li><li><b>{references}</b>mentions</li>
<li><b>{articles}</b>articles</li></ul>
"""
