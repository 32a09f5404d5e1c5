"""What there is to check and what has been found, in an embedded database of the run's own.

On disk and not in memory: a site may have millions of pictures. The database itself is made afresh by every
attempt (extracting is fast); what survives an attempt are the findings, in files of JSON lines that appear
whole (see `FindingFiles`).
"""

import heapq
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tasks.jobs.articles.database import Article
from tasks.jobs.articles.extraction import Reference
from tasks.jobs.articles.finding_files import Batch
from tasks.jobs.articles.history import Trouble
from tasks.jobs.articles.urls import Address
from tasks.jobs.articles.verdicts import GOOD, Finding, Verdict

_SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE article (id INTEGER PRIMARY KEY, name TEXT NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL);
CREATE TABLE picture (
    id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL, finding TEXT, verdict TEXT,
    known TEXT, since TEXT, checks INTEGER
);
CREATE TABLE before (url TEXT PRIMARY KEY, since TEXT NOT NULL, checks INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE reference (
    picture INTEGER NOT NULL, article INTEGER NOT NULL, kind TEXT NOT NULL,
    PRIMARY KEY (picture, article, kind)
) WITHOUT ROWID;
"""

_BAD: Final = "verdict IS NOT NULL AND verdict NOT IN ({})".format(", ".join(f"'{v}'" for v in sorted(GOOD)))
# What was bad before and was not looked at: its shard failed.
_NOT_CHECKED: Final = (
    "WHERE EXISTS (SELECT 1 FROM picture WHERE picture.url = before.url AND finding IS NULL)"
)


class Work:
    """Articles, pictures, references and findings of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")

    def _open(self) -> None:
        self._database = sqlite3.connect(self.path, isolation_level=None)

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

    @contextmanager
    def lent(self) -> Iterator[None]:
        """While others read it, through `Pending`: this is closed, for SQLite forbids to fork an open one."""
        self._database.execute("CREATE INDEX picture_pending ON picture (host, id) WHERE finding IS NULL")
        self._database.execute("COMMIT")
        self._database.close()
        try:
            yield
        finally:
            self._open()
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute("BEGIN")
            self._database.execute("DROP INDEX picture_pending")  # it would be kept up with every finding

    def add_known(self, url: str, finding: dict[str, Any], fresh_after: float) -> bool:
        """Note what an earlier night found good; if that was after `fresh_after`, it counts as checked.

        Returns whether it counts.
        """
        text = json.dumps(finding, ensure_ascii=False)
        if finding.get("checked", 0) > fresh_after:
            changed = self._database.execute(
                "UPDATE picture SET finding = ?, verdict = ? WHERE url = ? AND finding IS NULL",
                (text, finding["verdict"], url),
            )
            return changed.rowcount > 0
        self._database.execute("UPDATE picture SET known = ? WHERE url = ?", (text, url))
        return False

    def add_trouble_before(self, url: str, trouble: Trouble) -> None:
        """Note that a picture was bad at the last check."""
        self._database.execute(
            "INSERT OR REPLACE INTO before VALUES (?, ?, ?)", (url, trouble.since, trouble.checks)
        )

    def date_troubles(self, today: str) -> dict[str, int]:
        """Give every bad picture its date. Returns how many are bad, new, mended and were bad before."""
        run = self._database.execute
        run(
            f"""
            UPDATE picture SET
                since = coalesce((SELECT since FROM before WHERE before.url = picture.url), ?),
                checks = coalesce((SELECT checks FROM before WHERE before.url = picture.url), 0) + 1
            WHERE {_BAD}
            """,  # noqa: S608  (a constant)
            (today,),
        )
        bad, new = run(f"SELECT count(*), coalesce(sum(checks = 1), 0) FROM picture WHERE {_BAD}").fetchone()  # noqa: S608  (a constant)
        before = run("SELECT count(*) FROM before").fetchone()[0]
        unknown = run(f"SELECT count(*) FROM before {_NOT_CHECKED}").fetchone()[0]  # noqa: S608  (a constant)
        return {"bad": bad, "new": new, "mended": before - unknown - (bad - new), "bad_before": before}

    def troubles(self) -> Iterator[tuple[str, Trouble]]:
        """Every bad picture with its date, sorted by URL; also what was bad and could not be checked."""
        rows = self._database.execute(
            f"SELECT url, since, checks FROM picture WHERE {_BAD}"  # noqa: S608  (constants)
            f" UNION ALL SELECT url, since, checks FROM before {_NOT_CHECKED} ORDER BY url"
        )
        for url, since, checks in rows:
            yield url, Trouble(since, checks)

    def add_finding(self, url: str, finding: dict[str, Any]) -> bool:
        """Note a finding; False if no article mentions the picture (any more)."""
        changed = self._database.execute(
            "UPDATE picture SET finding = ?, verdict = ? WHERE url = ?",
            (json.dumps(finding, ensure_ascii=False), finding["verdict"], url),
        )
        return changed.rowcount > 0

    def note(self, batches: Iterable[Batch]) -> int:
        """Note the findings of files; returns how many are of pictures that are mentioned."""
        before = self._database.total_changes
        for batch in batches:
            # By number the row is there at once; by URL it has to be looked up.
            column = "id" if batch.numbered else "url"
            change = f"UPDATE picture SET finding = ?, verdict = ? WHERE {column} = ?"  # noqa: S608  (constants)
            self._database.executemany(change, batch.rows)
        return self._database.total_changes - before

    def add_findings(self, lines: Iterable[str]) -> int:
        """Note findings that shards published; returns how many are of pictures that are mentioned."""
        before = self._database.total_changes
        self._database.executemany(
            "UPDATE picture SET finding = ?1, verdict = ?1 ->> 'verdict' WHERE url = ?1 ->> 'url'",
            ((line,) for line in lines),
        )
        return self._database.total_changes - before

    def hosts(self) -> dict[str, int]:
        """How many pictures of each host there are to check."""
        rows = self._database.execute(
            "SELECT host, count(*) FROM picture WHERE finding IS NULL GROUP BY host ORDER BY host"
        )
        return dict(rows.fetchall())

    def counts(self) -> dict[str, int]:
        """How many articles, references, pictures, and pictures checked."""
        one = self._database.execute
        return {
            "articles": one("SELECT count(*) FROM article").fetchone()[0],
            "references": one("SELECT count(*) FROM reference").fetchone()[0],
            "pictures": one("SELECT count(*) FROM picture").fetchone()[0],
            "checked": one("SELECT count(finding) FROM picture").fetchone()[0],
        }

    def checked(self) -> tuple[int, int]:
        """How many pictures are checked, of how many."""
        checked, pictures = self._database.execute("SELECT count(finding), count(*) FROM picture").fetchone()
        return checked, pictures

    def verdicts(self) -> dict[str, int]:
        """How many pictures got each verdict, most frequent first."""
        rows = self._database.execute(
            "SELECT verdict, count(*) FROM picture WHERE verdict IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return dict(rows.fetchall())

    def with_verdicts(self, verdicts: Iterable[str], most: int) -> Iterator[tuple[str, str]]:
        """The first pictures that got one of `verdicts`, as (url, where it was found)."""
        wanted = json.dumps(sorted(verdicts))
        query = (
            "SELECT url, coalesce(nullif(finding ->> 'final_url', ''), url) FROM picture"
            " WHERE verdict IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"
        )
        yield from self._database.execute(query, (wanted, most))

    def findings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every checked picture as (url, finding), sorted by URL."""
        for url, finding in self._database.execute(
            "SELECT url, finding FROM picture WHERE finding IS NOT NULL ORDER BY url"
        ):
            yield url, json.loads(finding)

    def bad_mentions(self) -> Iterator[dict[str, Any]]:
        """Every mention of a bad picture with article, picture and finding, by article then picture."""
        rows = self._database.execute(
            f"""
            SELECT article.name, article.url, article.title, picture.url, group_concat(reference.kind, ' '),
                   picture.finding, picture.since, picture.checks
            FROM reference JOIN article ON article.id = reference.article
                           JOIN picture ON picture.id = reference.picture
            WHERE {_BAD}
            GROUP BY article.id, picture.id ORDER BY article.id, picture.url
            """  # noqa: S608  (a constant)
        )
        for name, url, title, picture, kinds, finding, since, checks in rows:
            yield {
                "article": name,
                "article_url": url,
                "title": title,
                "picture": picture,
                "kinds": kinds,
                "since": since,
                "checks": checks,
                **json.loads(finding),
            }


def _to_json(finding: Finding) -> str:
    return json.dumps(finding.members(), ensure_ascii=False)


class Pending:
    """What is left to check, read only: for one of several processes that share the hosts."""

    def __init__(self, path: Path, number: int = 0, processes: int = 1) -> None:
        self._database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._number, self._processes = number, processes

    def hosts(self) -> list[str]:
        """The hosts with pictures yet to check. A host is one process's: politeness is kept by host.

        The host with most pictures goes to the process that has fewest so far, and so on.
        """
        rows = self._database.execute(
            "SELECT host, count(*) FROM picture WHERE finding IS NULL GROUP BY host ORDER BY 2 DESC, 1"
        )
        if self._processes == 1:
            return [host for host, _ in rows]
        shares = [(0, number) for number in range(self._processes)]
        mine = []
        for host, pictures in rows:
            load, number = heapq.heappop(shares)
            heapq.heappush(shares, (load + pictures, number))
            if number == self._number:
                mine.append(host)
        return mine

    def pending(self, host: str, after: int, limit: int) -> list[tuple[int, str, Finding | None]]:
        """The next pictures of a host to check, as (id, url, what an earlier night found good)."""
        rows = self._database.execute(
            "SELECT id, url, known FROM picture WHERE host = ? AND id > ? AND finding IS NULL"
            " ORDER BY id LIMIT ?",
            (host, after, limit),
        )
        return [
            (number, url, Finding.of(json.loads(known)) if known else None) for number, url, known in rows
        ]
