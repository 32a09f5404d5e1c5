"""Our writer: `python -m bench.sitemap_peers.ours PAGES OUTPUT`. It packs, and makes parts and an index."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.sitemap_peers.pages import SITE, measured, read_pages
from tasks.jobs.articles.sitemap_writer import SitemapWriter


def write() -> int:
    writer = SitemapWriter(Path(sys.argv[2]), SITE)
    for url, changed, pictures in read_pages(Path(sys.argv[1])):
        writer.add(url, changed, pictures)
    writer.finish()
    return writer.urls


measured(write)
