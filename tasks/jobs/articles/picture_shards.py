"""A very large check in shards by host: how pictures are dealt out, what a shard leaves, what is collected.

By host and not by picture: only who asks a host alone can keep its limits.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tasks.jobs.articles.report import FINDINGS, whole_file, write_findings
from tasks.jobs.articles.work import Work
from tasks.jobs.program import JobError

MOST_SHARDS: Final = 10_000
THUMBNAILS: Final = "thumbnails.json"
LIST: Final = "shards.json"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One shard: the hosts whose name falls into bucket `number` of `of`."""

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> "Bucket":
        """From ``NIGHTLATCH_SHARD``.

        Raises:
            JobError: if that is no item that `missing-images-plan` wrote.
        """
        try:
            members = json.loads(text)
            bucket = cls(int(members["bucket"]), int(members["of"]))
        except (ValueError, KeyError, TypeError):
            bucket = cls(0, 0)
        if not 0 <= bucket.number < bucket.of:
            raise JobError(f"the shard {text} is none that missing-images-plan wrote")
        return bucket

    def has(self, host: str) -> bool:
        """Whether a host's pictures are this shard's. Addresses without a host are no shard's."""
        return bool(host) and bucket_of(host, self.of) == self.number


def bucket_of(host: str, buckets: int) -> int:
    """The bucket of a host: the same in every process and release."""
    return zlib.crc32(host.encode()) % buckets


def plan(pictures: Mapping[str, int], buckets: int) -> list[dict[str, int]]:
    """The shards for so many pictures of each host, those with most pictures first; none is empty."""
    load: dict[int, int] = {}
    for host, count in pictures.items():
        number = bucket_of(host, buckets)
        load[number] = load.get(number, 0) + count
    order = sorted(load, key=lambda number: (-load[number], number))
    return [{"bucket": number, "of": buckets, "pictures": load[number]} for number in order]


def write_shard(work: Work, directory: Path, thumbnails: Mapping[str, str]) -> None:
    """What a shard leaves for the collecting step.

    Raises:
        OSError: disk full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with whole_file(directory / FINDINGS) as file:
        write_findings(file, work)
    with whole_file(directory / THUMBNAILS) as file:
        json.dump(dict(sorted(thumbnails.items())), file)


class Shards:
    """What the shards of a run left: ``NIGHTLATCH_SHARDS_DIR``.

    Raises:
        JobError: if there is no list of shards.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            self.told: list[dict[str, Any]] = json.loads((directory / LIST).read_bytes())
        except FileNotFoundError:
            raise JobError(
                f"there is no {LIST} in {directory}: this step comes after a fan-out of missing-images"
            ) from None

    @property
    def missing(self) -> list[int]:
        """The shards that failed and were tolerated."""
        return [shard["index"] for shard in self.told if not shard["published"]]

    def _files(self, name: str) -> Iterator[Path]:
        for shard in self.told:
            if shard["published"]:
                yield self._directory / str(shard["index"]) / name

    def findings(self) -> Iterator[str]:
        """Every finding as JSON."""
        for path in self._files(FINDINGS):
            with path.open(encoding="utf-8") as file:
                yield from file

    def thumbnails(self, wanted: set[str]) -> dict[str, str]:
        """The thumbnails of `wanted` pictures."""
        found: dict[str, str] = {}
        for path in self._files(THUMBNAILS):
            members = json.loads(path.read_bytes())
            found.update({url: members[url] for url in members.keys() & wanted})
        return found
