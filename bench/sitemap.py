"""sitemap-refresh: its writer beside lxml's, and the whole way from PostgreSQL beside a COPY that is dropped.

`--pages N` takes fewer than a million.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from bench.report import Report, median_ratio
from bench.sitemap_peers.pages import row, write_pages
from tests.support.postgres import find_program, postgres

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
PAGES = 1_000_000
ROUNDS = 3


def run(module: str, *arguments: object) -> dict[str, Any]:
    """One writer in a process of its own; its own figures."""
    done = subprocess.run(
        [sys.executable, "-m", f"bench.sitemap_peers.{module}", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def rounds(subjects: dict[str, Callable[[], dict[str, Any]]], pages: int) -> dict[str, list[dict[str, Any]]]:
    """Every subject in turn, several times over, so that a drifting machine cancels out."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        for name, subject in subjects.items():
            found[name].append(subject())
            assert found[name][-1]["pages"] == pages, (name, found[name][-1])
    return found


def processor_seconds(of: list[dict[str, Any]]) -> list[float]:
    return [it["processor_seconds"] for it in of]


def measure_writers(pages: int, scratch: Path, report: Report) -> None:
    """The same file of pages through each writer."""
    table = scratch / "pages.tsv"
    write_pages(table, pages)

    def writer(module: str, *more: object) -> Callable[[], dict[str, Any]]:
        def write() -> dict[str, Any]:
            folder = scratch / uuid.uuid4().hex
            try:
                return run(module, table, folder, *more)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        return write

    found = rounds(
        {"ours": writer("ours"), "plain": writer("lxml_xmlfile"), "packed": writer("lxml_xmlfile", 1)}, pages
    )
    # A writer is one thread that waits for nothing: its processor time is its time on a quiet machine.
    ours = processor_seconds(found["ours"])
    report.add("writer_urls_a_second", pages / statistics.median(ours))
    report.add("lxml_xmlfile_urls_a_second", pages / statistics.median(processor_seconds(found["plain"])))
    report.add(
        "lxml_xmlfile_packed_urls_a_second", pages / statistics.median(processor_seconds(found["packed"]))
    )
    report.add(
        "writer_times_lxml_xmlfile", median_ratio(processor_seconds(found["plain"]), ours), (">=", 3.3)
    )
    report.add("writer_times_lxml_xmlfile_packed", median_ratio(processor_seconds(found["packed"]), ours))
    report.add("writer_peak_megabytes", max(it["megabytes"] for it in found["ours"]), ("<=", 30))
    report.add("lxml_xmlfile_peak_megabytes", max(it["megabytes"] for it in found["plain"]))
    report.note(f"{pages} pages from a file, 0 to 2 pictures each; lxml writes one file, we pack parts")
    report.note("writers are compared by processor time, the way from PostgreSQL by the clock")


def fill(url: str, pages: int) -> None:
    """A table as a site has it, and the view of it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE articles (id BIGINT PRIMARY KEY, url TEXT NOT NULL, images TEXT[] NOT NULL,"
            " updated_at TIMESTAMPTZ NOT NULL)"
        )
        with connection.cursor() as cursor, cursor.copy("COPY articles FROM STDIN") as copied:
            for number in range(pages):
                address, changed, pictures = row(number)
                copied.write_row((number, address, pictures, changed))
        connection.execute(
            "CREATE VIEW nightlatch_articles AS SELECT id, url, 'title' AS title, images,"
            " updated_at - interval '1 hour' AS published_at, updated_at FROM articles"
        )
        connection.execute("VACUUM ANALYZE articles")


def measure_database(pages: int, scratch: Path, report: Report) -> None:
    """A real PostgreSQL on this machine: it shares the processors with what reads from it."""
    if not (find_program("postgres") and find_program("initdb")):
        report.note("PostgreSQL is not installed, so nothing was measured against it")
        return
    with postgres() as server:
        url = server.create_database("bench")
        fill(url, pages)
        found = rounds(
            {
                "drain": lambda: run("from_postgres", url),
                "sitemap": lambda: run("from_postgres", url, scratch / uuid.uuid4().hex),
            },
            pages,
        )
    sitemap, drain = ([it["seconds"] for it in found[name]] for name in ("sitemap", "drain"))
    report.add("from_postgres_urls_a_second", pages / statistics.median(sitemap))
    report.add("copy_drain_rows_a_second", pages / statistics.median(drain))
    report.add("from_postgres_share_of_drain", median_ratio(drain, sitemap), (">=", 0.6))
    report.add("from_postgres_peak_megabytes", max(it["megabytes"] for it in found["sitemap"]))
    report.note(
        "from PostgreSQL: connect, one snapshot, copy with the news, packed parts, index; one process"
        " with a thread that packs, server and job on this machine; imports are measured on neither side"
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.sitemap", description=__doc__)
    parser.add_argument("--pages", type=int, default=PAGES)
    pages = parser.parse_args(arguments).pages
    report = Report("sitemap")
    with tempfile.TemporaryDirectory() as name:
        measure_writers(pages, Path(name), report)
        measure_database(pages, Path(name), report)
    report.finish()


if __name__ == "__main__":
    main()
