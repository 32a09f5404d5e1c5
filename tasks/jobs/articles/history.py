"""What one night leaves for the next: since when pictures are bad, what is known of good ones, the trend.

Everything is under ``state/`` of the output and is streamed: a site may have millions of pictures.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

SINCE: Final = "since.json"
KNOWN: Final = "known.jsonl.gz"
TREND: Final = "trend.json"
NIGHTS_KEPT: Final = 90


@dataclass(frozen=True, slots=True)
class Trouble:
    """Since when a picture is bad, and in how many checks in a row."""

    since: str
    checks: int


class History:
    """What the last night left in `directory`; a first night has None."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def _path(self, name: str) -> Path | None:
        path = self._directory / name if self._directory else None
        return path if path is not None and path.is_file() else None

    def troubles(self) -> Iterator[tuple[str, Trouble]]:
        """The pictures that were bad, by URL. One a line in ``since.json``, or as one object on all lines."""
        path = self._path(SINCE)
        if path is None:
            return
        members = json.loads(path.read_text(encoding="utf-8"))
        for url, item in members.items():
            yield url, Trouble(str(item["since"]), int(item["checks"]))

    def known(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The findings of pictures that were good and that can be asked for a change, by URL."""
        path = self._path(KNOWN)
        if path is None:
            return
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                members = json.loads(line)
                yield members.pop("url"), members

    def trend(self) -> list[dict[str, Any]]:
        """The nights before, oldest first: day, pictures, bad, new, mended."""
        path = self._path(TREND)
        return list(json.loads(path.read_text(encoding="utf-8"))) if path else []


def write_known(file: IO[bytes], findings: Iterator[tuple[str, dict[str, Any]]]) -> None:
    """The good pictures that have a validator, a line each; the same findings give the same bytes."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        for url, finding in findings:
            if finding.get("etag") or finding.get("modified"):
                packed.write(json.dumps({"url": url, **finding}, ensure_ascii=False).encode() + b"\n")


def extended(trend: list[dict[str, Any]], summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The trend with tonight in it; a second run on one day takes the place of the first."""
    tonight = {name: summary[name] for name in ("checked_on", "pictures", "bad", "new", "mended")}
    kept = [night for night in trend if night["checked_on"] != tonight["checked_on"]]
    return [*kept, tonight][-NIGHTS_KEPT:]
