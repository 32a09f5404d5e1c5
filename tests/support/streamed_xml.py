"""Documents read and held to their schema element by element: memory does not grow with them."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

SCHEMAS = Path(__file__).with_name("schemas")


def entries(path: Path, schema: str, tag: str) -> Iterator[etree._Element]:
    """Every element `tag` (without namespace) of a document that keeps `schema`; gone after its turn.

    Raises:
        etree.XMLSyntaxError: at the first place where the document breaks the schema.
    """
    rules = etree.XMLSchema(etree.parse(SCHEMAS / schema))
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as document:
        for _, element in etree.iterparse(document, schema=rules, tag="{*}" + tag):
            yield element
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def count(path: Path, schema: str, tag: str) -> int:
    """How many such elements a document has that keeps its schema from beginning to end."""
    return sum(1 for _ in entries(path, schema, tag))
