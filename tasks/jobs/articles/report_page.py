"""The page for editors: one file that needs nothing from anywhere."""

import html
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Final, TextIO

from tasks.jobs.articles.verdicts import MEANING, Verdict


def write_page(
    file: TextIO,
    mentions: Iterator[dict[str, Any]],
    summary: dict[str, Any],
    thumbnails: Mapping[str, str],
    most: int,
) -> None:
    """Write the page: `mentions` of bad pictures grouped by article, at most so many articles."""
    say = html.escape
    file.write(_HEAD.format(day=say(str(summary["checked_on"])), **_tiles(summary)))
    file.write(_trend(summary["trend"]))
    file.write("<h2>Articles to mend</h2>\n")
    if not summary["bad"]:
        file.write("<p class=fine>Every picture of every article is there, whole.</p>\n")
    articles = groupby(mentions, key=lambda mention: (mention["article_url"], mention["title"]))
    for number, ((url, title), group) in enumerate(articles):
        if number == most:
            file.write(f"<p>These are the first {most:,} articles; all are in the CSV file.</p>\n")
            break
        file.write(f"<section><h3>{_link(url, title or url)}</h3>\n<table>\n")
        file.writelines(_row(mention, thumbnails.get(mention["picture"], "")) for mention in group)
        file.write("</table></section>\n")
    file.write("<h2>All verdicts</h2>\n<table>\n")
    file.writelines(
        f"<tr><td><span class='v {say(verdict)}'>{say(verdict)}</span></td>"
        f"<td class=n>{count:,}</td><td>{say(MEANING[Verdict(verdict)])}</td></tr>\n"
        for verdict, count in summary["verdicts"].items()
    )
    file.write("</table>\n</body></html>\n")


def _row(mention: dict[str, Any], thumbnail: str) -> str:
    say = html.escape
    verdict = mention["verdict"]
    status = f" ({mention['status']})" if mention["status"] else ""
    detail = f"<br><small>{say(mention['detail'])}</small>" if mention["detail"] else ""
    since = f"since {say(mention['since'])}, {mention['checks']} checks"
    seen = f'<img src="{thumbnail}" alt="what is there of it">' if thumbnail else "<i class=none>nothing</i>"
    return (
        f"<tr><td class=t>{seen}</td><td><span class='v {say(verdict)}'>{say(verdict)}</span></td>"
        f"<td>{say(MEANING[Verdict(verdict)])}{status}{detail}</td>"
        f"<td class=u>{_link(mention['picture'], mention['picture'])}</td>"
        f"<td>{'new' if mention['checks'] == 1 else since}</td></tr>\n"
    )


def _trend(nights: list[dict[str, Any]]) -> str:
    """Bars of the bad pictures, a night each; the new ones of them darker."""
    if len(nights) < 2:  # noqa: PLR2004  (one night is no trend)
        return ""
    highest = max(1, *(night["bad"] for night in nights))
    wide = 720 / len(nights)
    bars = []
    for number, night in enumerate(nights):
        bad, new = (80 * night[name] / highest for name in ("bad", "new"))
        words = f"{night['checked_on']}: {night['bad']} bad, {night['new']} new, {night['mended']} mended"
        place = f'x="{number * wide:.1f}" width="{wide * 0.8:.1f}"'
        bars.append(
            f"<g><title>{html.escape(words)}</title>"
            f'<rect class="b" {place} y="{84 - bad:.1f}" height="{bad:.1f}"/>'
            f'<rect class="n" {place} y="{84 - new:.1f}" height="{new:.1f}"/></g>'
        )
    first, last = (html.escape(str(nights[at]["checked_on"])) for at in (0, -1))
    return (
        f'<h2>Bad pictures, night by night</h2>\n<svg class="trend" viewBox="0 0 720 100" role="img" '
        f'aria-label="bad pictures from {first} to {last}">{"".join(bars)}'
        f'<text x="0" y="98">{first}</text><text x="720" y="98" text-anchor="end">{last}</text>'
        f'<text x="720" y="10" text-anchor="end">{highest:,}</text></svg>\n'
    )


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
.v.host_down {{ background: #ef6c0022; }} .t {{ width: 6rem; }}
.t img {{ max-width: 6rem; max-height: 4.5rem; border-radius: .25rem; display: block; }}
.none {{ display: grid; place-items: center; width: 6rem; height: 3rem; border: 1px dashed var(--line);
border-radius: .25rem; opacity: .6; font-size: .8rem; }}
.trend {{ width: 100%; max-height: 9rem; }} .trend text {{ font-size: 9px; fill: currentColor; opacity: .7; }}
.trend .b {{ fill: #c6282866; }} .trend .n {{ fill: #c62828; }} .fine {{ font-size: 1.1rem; }}
</style></head><body>
<h1>Missing pictures</h1><p>{day}</p>
<ul class="tiles"><li><b>{bad}</b>bad pictures</li><li><b>{new}</b>new</li><li><b>{mended}</b>mended</li>
<li><b>{pictures}</b>pictures checked</li><li><b>{references}</b>mentions</li>
<li><b>{articles}</b>articles</li></ul>
"""
