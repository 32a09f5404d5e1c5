"""lxml's incremental writer: `python -m bench.sitemap_peers.lxml_xmlfile PAGES OUTPUT [LEVEL]`.

One file, without parts or an index; packed by lxml itself where a level is given.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lxml import etree

from bench.sitemap_peers.pages import measured, read_pages

SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
IMAGE = "http://www.google.com/schemas/sitemap-image/1.1"


def write() -> int:
    folder = Path(sys.argv[2])
    folder.mkdir()
    level = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    pages = 0
    with (
        (folder / "sitemap.xml").open("wb") as out,
        etree.xmlfile(out, encoding="UTF-8", compression=level) as file,
    ):
        file.write_declaration()
        with file.element("urlset", nsmap={None: SITEMAP, "image": IMAGE}):
            for url, changed, pictures in read_pages(Path(sys.argv[1])):
                with file.element("url"):
                    with file.element("loc"):
                        file.write(url)
                    with file.element("lastmod"):
                        file.write(changed.isoformat())
                    for picture in pictures:
                        with file.element(f"{{{IMAGE}}}image"), file.element(f"{{{IMAGE}}}loc"):
                            file.write(picture)
                pages += 1
    return pages


measured(write)
