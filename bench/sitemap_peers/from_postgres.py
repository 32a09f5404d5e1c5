"""From PostgreSQL: `python -m bench.sitemap_peers.from_postgres DATABASE OUTPUT`; without it a drain.

The drain copies the three columns that a sitemap needs, in the same order, and does nothing with them. Both
are measured from before the connection is made until all is done.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from bench.sitemap_peers.pages import SITE, measured
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.sitemap_refresh import Refresh
from tasks.jobs.articles.sitemap_source import open_source
from tasks.jobs.articles.sitemap_writer import SitemapWriter
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
    stop = StopRequest()
    with open_source(engine) as source:
        writer = SitemapWriter(Path(sys.argv[2]), SITE)
        refreshed = Refresh(source, writer, SITE, images=True)
        refreshed.write_pages(stop, ProgressLines())
        refreshed.write_news(Namespace(publication="Bench", language="en", at=datetime.now(UTC)), stop)
        writer.finish()
    engine.dispose()
    return writer.urls


measured(refresh if len(sys.argv) > 2 else drain)
