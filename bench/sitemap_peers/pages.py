"""The pages of the bench, as a file: address, time, and pictures, with tabs between them."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.memory import peak_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SITE = "https://www.example.com/"


def row(number: int) -> tuple[str, datetime, list[str]]:
    """Page `number`: 0 to 2 pictures, every fourth with an ampersand in its address."""
    digest = hashlib.md5(str(number).encode()).hexdigest()  # noqa: S324  (a name, not a secret)
    query = "?a=1&b=2" if number % 4 == 0 else ""
    pictures = [f"https://img.example.com/{number}/{name}.jpg?w=1200" for name in ("main", "sub")]
    changed = datetime.fromtimestamp(1_767_225_600 + 7 * number, UTC)
    return f"{SITE}articles/2026/{digest}{query}", changed, pictures[: number % 3]


def write_pages(path: Path, pages: int) -> None:
    with path.open("w") as out:
        for number in range(pages):
            url, changed, pictures = row(number)
            out.write("\t".join([url, changed.isoformat(), *pictures]) + "\n")


def read_pages(path: Path) -> Iterator[tuple[str, datetime, list[str]]]:
    """Address, time, pictures: as a database's driver hands them over."""
    parse = datetime.fromisoformat
    with path.open() as lines:
        for line in lines:
            url, changed, *pictures = line.rstrip("\n").split("\t")
            yield url, parse(changed), pictures


def measured(write: Callable[[], int]) -> None:
    """Run one writer; print how long it took and how much memory its process had at most."""
    began, worked = time.perf_counter(), time.process_time()
    pages = write()
    figures = {
        "pages": pages,
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - worked,
        "megabytes": peak_bytes() / 1e6,
    }
    print(json.dumps(figures))
