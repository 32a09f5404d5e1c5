"""The report of a picture check: CSV and JSON for machines, one HTML page for editors."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, TextIO

from tasks.contract import Assignment
from tasks.jobs.articles.history import KNOWN, SINCE, TREND, History, extended, write_known
from tasks.jobs.articles.report_page import write_page
from tasks.jobs.articles.verdicts import GOOD
from tasks.jobs.articles.work import Work

FINDINGS: Final = "findings.jsonl"
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


# The page is for people: what is more is in the CSV.
_ARTICLES_SHOWN: Final = 1_000


def write_report(
    work: Work, directory: Path, history: History, today: str, thumbnails: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Write every file of the report into `directory`; returns the summary.

    `thumbnails` are data: URLs by picture. Deterministic for the same findings, history and day.

    Raises:
        OSError: disk full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for url, trouble in history.troubles():
        work.add_trouble_before(url, trouble)
    summary: dict[str, Any] = {
        "schema_version": 1,
        "checked_on": today,
        **work.counts(),
        **work.date_troubles(today),
        "verdicts": work.verdicts(),
    }
    summary["trend"] = extended(history.trend(), summary)
    with whole_file(directory / "missing-images.csv") as file:
        _write_csv(file, work)
    with whole_file(directory / FINDINGS) as file:
        write_findings(file, work)
    with whole_file(directory / "missing-images.html") as file:
        write_page(file, work.bad_mentions(), summary, thumbnails or {}, _ARTICLES_SHOWN)
    with whole_file(directory / "state" / SINCE) as file:
        before = "{"
        for url, trouble in work.troubles():
            item = json.dumps({"since": trouble.since, "checks": trouble.checks})
            file.write(f"{before}\n{json.dumps(url, ensure_ascii=False)}: {item}")
            before = ","
        file.write("{}" if before == "{" else "\n}")
    with _whole_bytes(directory / "state" / KNOWN) as packed:
        good = ((url, finding) for url, finding in work.findings() if finding["verdict"] in GOOD)
        write_known(packed, good)
    with whole_file(directory / "state" / TREND) as file:
        json.dump(summary["trend"], file, indent=0)
    with whole_file(directory / "missing-images.json") as file:
        json.dump(summary, file, ensure_ascii=False, indent=1)
    return summary


def in_a_sentence(summary: dict[str, Any]) -> str:
    """What the report says, for the log."""
    verdicts = ", ".join(f"{verdict} {count}" for verdict, count in summary["verdicts"].items())
    return (
        f"{summary['pictures']} pictures of {summary['articles']} articles: {summary['bad']} bad, "
        f"{summary['new']} of them new, {summary['mended']} mended; {verdicts}"
    )


def day_of(told: Assignment) -> str:
    """The day of the report: that of the scheduled time, so that a retry after midnight changes nothing."""
    return (told.scheduled_time or datetime.now(UTC).isoformat())[:10]


def write_findings(file: TextIO, work: Work) -> None:
    """Every checked picture, a line each, sorted by URL."""
    lines = (json.dumps({"url": url, **finding}, ensure_ascii=False) for url, finding in work.findings())
    file.writelines(line + "\n" for line in lines)


@contextmanager
def _whole_bytes(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    with beside.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text file that appears whole, on the disk, or not at all."""
    with _whole_bytes(path) as file:
        words = io.TextIOWrapper(file, "utf-8", newline="")
        yield words
        words.flush()
        words.detach()


def _write_csv(file: TextIO, work: Work) -> None:
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for mention in work.bad_mentions():
        writer.writerow([_cell(mention[name]) for name in _COLUMNS])


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
