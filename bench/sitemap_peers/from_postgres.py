"""From PostgreSQL: `python -m bench.sitemap_peers.from_postgres DATABASE OUTPUT`; without it a drain.

The drain copies the three columns that a sitemap needs, in the same order, and does nothing with them. Both
are measured from before the connection is made until all is done.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401  (imported when an engine is made; no import is measured)

from bench.sitemap_peers.pages import SITE, measured
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.sitemap_listing import Listing
from tasks.jobs.articles.sitemap_pages import write_rows
from tasks.jobs.articles.sitemap_source import open_source
from tasks.jobs.articles.sitemap_writer import SitemapWriter, write_index
from tasks.jobs.program import ProgressLines, StopRequest

DRAINED = "COPY (SELECT url, updated_at, images FROM nightlatch_articles ORDER BY id) TO STDOUT"


def drain() -> int:
    rows = 0
    with (
        psycopg.connect(sys.argv[1]) as connection,
        connection.cursor() as cursor,
        cursor.copy(DRAINED) as copied,
    ):
        for _ in copied:
            rows += 1
    return rows


def refresh() -> int:
    engine = open_database(sys.argv[1])
    output = Path(sys.argv[2])
    stop = StopRequest()
    with open_source(engine) as source, SitemapWriter(output, SITE, beside=True) as writer:
        written = write_rows(
            source,
            Listing(writer, SITE, "Bench", "en"),
            ProgressLines(),
            lambda: stop.requested,
            images=True,
            news_until=datetime.now(UTC),
        )
        assert written is not None
        write_index(output, SITE, written.parts)
    engine.dispose()
    return written.urls


measured(refresh if len(sys.argv) > 2 else drain)
