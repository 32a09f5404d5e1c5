"""What there is to check and what has been found, in an embedded database of the run's own.

On disk and not in memory: a site may have millions of pictures. The database itself is made afresh by every
attempt (extracting is fast); what survives an attempt are the findings, in files of JSON lines that appear
whole (see `FindingFiles`).
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from tasks.jobs.articles.database import Article
from tasks.jobs.articles.extraction import Reference
from tasks.jobs.articles.urls import Address
from tasks.jobs.articles.verdicts import Finding, Verdict

_SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE article (id INTEGER PRIMARY KEY, name TEXT NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL);
CREATE TABLE picture (
    id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL, finding TEXT, verdict TEXT
);
CREATE INDEX picture_pending ON picture (host, id) WHERE finding IS NULL;
CREATE TABLE reference (
    picture INTEGER NOT NULL, article INTEGER NOT NULL, kind TEXT NOT NULL,
    PRIMARY KEY (picture, article, kind)
) WITHOUT ROWID;
"""


class Work:
    """Articles, pictures, references and findings of one run."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Give it back; nothing of it is needed any more."""
        self._database.close()

    def add_article(self, article: Article, pictures: Iterable[tuple[Address, Reference]]) -> None:
        """Note an article and the pictures it mentions; each address is kept once."""
        run = self._database.execute
        row = run(
            "INSERT INTO article (name, url, title) VALUES (?, ?, ?)",
            (article.id, article.url, article.title),
        ).lastrowid
        for address, reference in pictures:
            found = run("SELECT id FROM picture WHERE url = ?", (address.url,)).fetchone()
            if found is None:
                finding = None
                if address.problem:
                    finding = _to_json(Finding(Verdict.BAD_URL, detail=address.problem))
                found = (
                    run(
                        "INSERT INTO picture (url, host, finding, verdict) VALUES (?, ?, ?, ?)",
                        (address.url, address.host, finding, Verdict.BAD_URL if finding else None),
                    ).lastrowid,
                )
            run(
                "INSERT OR IGNORE INTO reference (picture, article, kind) VALUES (?, ?, ?)",
                (found[0], row, reference.kind),
            )

    def add_finding(self, url: str, finding: dict[str, Any]) -> bool:
        """Note a finding; False if no article mentions the picture (any more)."""
        changed = self._database.execute(
            "UPDATE picture SET finding = ?, verdict = ? WHERE url = ?",
            (json.dumps(finding, ensure_ascii=False), finding["verdict"], url),
        )
        return changed.rowcount > 0

    def hosts(self) -> list[str]:
        """The hosts with pictures yet to check."""
        rows = self._database.execute("SELECT DISTINCT host FROM picture WHERE finding IS NULL ORDER BY host")
        return [host for (host,) in rows]

    def pending(self, host: str, after: int, limit: int) -> list[tuple[int, str]]:
        """The next pictures of a host to check, as (id, url)."""
        return self._database.execute(
            "SELECT id, url FROM picture WHERE host = ? AND id > ? AND finding IS NULL ORDER BY id LIMIT ?",
            (host, after, limit),
        ).fetchall()

    def counts(self) -> dict[str, int]:
        """How many articles, references, pictures, and pictures checked."""
        one = self._database.execute
        return {
            "articles": one("SELECT count(*) FROM article").fetchone()[0],
            "references": one("SELECT count(*) FROM reference").fetchone()[0],
            "pictures": one("SELECT count(*) FROM picture").fetchone()[0],
            "checked": one("SELECT count(finding) FROM picture").fetchone()[0],
        }

    def verdicts(self) -> dict[str, int]:
        """How many pictures got each verdict, most frequent first."""
        rows = self._database.execute(
            "SELECT verdict, count(*) FROM picture WHERE verdict IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return dict(rows.fetchall())

    def findings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every checked picture as (url, finding), sorted by URL."""
        for url, finding in self._database.execute(
            "SELECT url, finding FROM picture WHERE finding IS NOT NULL ORDER BY url"
        ):
            yield url, json.loads(finding)

    def mentions(self) -> Iterator[dict[str, Any]]:
        """Every mention of a checked picture with article, picture and finding, by article then picture."""
        rows = self._database.execute(
            """
            SELECT article.name, article.url, article.title, picture.url, group_concat(reference.kind, ' '),
                   picture.finding
            FROM reference JOIN article ON article.id = reference.article
                           JOIN picture ON picture.id = reference.picture
            WHERE picture.finding IS NOT NULL
            GROUP BY article.id, picture.id ORDER BY article.id, picture.url
            """
        )
        for name, url, title, picture, kinds, finding in rows:
            yield {
                "article": name,
                "article_url": url,
                "title": title,
                "picture": picture,
                "kinds": kinds,
                **json.loads(finding),
            }


class FindingFiles:
    """The findings of this run and its former attempts, in the checkpoint directory.

    Each batch is one file, written beside and renamed after it is on the disk: kill -9 at any moment leaves
    whole batches and loses at most the one that was not yet written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.stem.rpartition("-")[2]) for path in self._files()]
        self._next = max(numbers, default=0) + 1
        self._batch: list[str] = []

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob("findings-*.jsonl"))

    def read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What former attempts found, as (url, finding)."""
        for path in self._files():
            with path.open(encoding="utf-8") as file:
                for line in file:
                    members = json.loads(line)
                    yield members.pop("url"), members

    def add(self, url: str, finding: Finding) -> int:
        """Put a finding into the batch; returns how many are in it."""
        self._batch.append(json.dumps({"url": url, **finding.members()}, ensure_ascii=False))
        return len(self._batch)

    def write(self) -> None:
        """Make the batch safe."""
        if not self._batch:
            return
        path = self._directory / f"findings-{self._next:08d}.jsonl"
        beside = path.with_suffix(".tmp")
        with beside.open("w", encoding="utf-8") as file:
            file.write("\n".join(self._batch) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        self._next += 1
        self._batch.clear()


def _to_json(finding: Finding) -> str:
    return json.dumps(finding.members(), ensure_ascii=False)
