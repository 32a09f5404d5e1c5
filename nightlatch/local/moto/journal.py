from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.http.message import HttpRequest
from nightlatch.local.state_directory import LocalStartError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS request (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    seed INTEGER NOT NULL,
    service TEXT NOT NULL,
    operation TEXT NOT NULL,
    region TEXT NOT NULL,
    subject TEXT NOT NULL,
    method TEXT NOT NULL,
    target TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
"""
_COLUMNS = "seq, at, seed, service, operation, region, subject, method, target, headers, body"


class StorageFullError(ApiError):
    """The journal could not take a write, so the write was not made."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "StorageFullException",
            f"The local AWS could not store this request ({reason}), so it was refused and nothing changed. "
            "Free disk space in the state directory and try again.",
            507,
        )


@dataclass(frozen=True)
class Entry:
    """One journalled request, with all that makes its replay give the same answer.

    Attributes:
        at: The time that the request saw, epoch seconds.
        seed: Of the random numbers that it drew.
        subject: What it is about, for compaction: a table, a log stream, an object.
    """

    seq: int
    at: float
    seed: int
    service: str
    operation: str
    region: str
    subject: str
    request: HttpRequest


class Journal:
    """The requests that make up the state, in a SQLite file in WAL mode.

    A request is committed *before* it is carried out and withdrawn if it was refused. So an acknowledged
    write is always here; a crash in between leaves at most a request that nobody was told about, which is
    carried out at the next start. Survives the death of the process at any moment; not a power cut
    (``synchronous`` is NORMAL: SQLite syncs at checkpoints only).
    Use from one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, SCHEMA_VERSION}:
            self._connection.close()
            raise LocalStartError(
                f"{path} was written by another version of nightlatch (format {version}, this one reads "
                f"{SCHEMA_VERSION}). Run `nightlatch local reset` to start afresh."
            )
        self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._withdrawn: list[int] = []

    def append(self, entry: Entry) -> int:
        """Commit one request and return its sequence number; the entry's own number is not used.

        Raises:
            StorageFullError: It could not be written; the journal is as before.
        """
        try:
            with self._transaction():
                self._forget_withdrawn()
                seq = self._insert(entry)
        except sqlite3.OperationalError as error:
            raise StorageFullError(str(error)) from error
        self._withdrawn.clear()
        return seq

    def withdraw(self, seq: int) -> None:
        """Take back a request that was refused.

        The row goes with the next commit. Should a crash come first, its replay is refused again.
        """
        self._withdrawn.append(seq)

    def entries(self) -> Iterator[Entry]:
        """Everything in order."""
        for row in self._connection.execute(f"SELECT {_COLUMNS} FROM request ORDER BY seq"):  # noqa: S608 - constant
            yield _entry(row)

    def outlines(self) -> list[Entry]:
        """Everything in order, without the bodies."""
        query = f"SELECT {_COLUMNS} FROM request ORDER BY seq".replace(", body", ", x''")  # noqa: S608 - constant
        return [_entry(row) for row in self._connection.execute(query)]

    def count(self) -> int:
        """How many requests are kept."""
        self._flush_withdrawn()
        return int(self._connection.execute("SELECT count(*) FROM request").fetchone()[0])

    def size_of(self, seq: int) -> int:
        """The body's length in bytes."""
        row = self._connection.execute("SELECT length(body) FROM request WHERE seq = ?", (seq,)).fetchone()
        return int(row[0]) if row else 0

    def replace(
        self, drop: list[int], unconditional: list[tuple[int, HttpRequest]], add: list[Entry]
    ) -> None:
        """Exchange old requests for fewer that give the same state; all or nothing.

        Args:
            drop: Sequence numbers that go.
            unconditional: Requests whose headers change because what they were conditional on went.
            add: Requests that come last.

        Raises:
            StorageFullError: It could not be written; the journal is as before.
        """
        try:
            self._replace(drop, unconditional, add)
        except sqlite3.OperationalError as error:
            raise StorageFullError(str(error)) from error
        self._withdrawn.clear()

    def _replace(
        self, drop: list[int], unconditional: list[tuple[int, HttpRequest]], add: list[Entry]
    ) -> None:
        with self._transaction():
            self._forget_withdrawn()
            self._connection.executemany("DELETE FROM request WHERE seq = ?", ((seq,) for seq in drop))
            self._connection.executemany(
                "UPDATE request SET headers = ? WHERE seq = ?",
                ((json.dumps(request.headers), seq) for seq, request in unconditional),
            )
            for entry in add:
                self._insert(entry)
        self._connection.execute("PRAGMA incremental_vacuum").fetchall()

    def limit_pages(self, pages: int) -> None:
        """Let the file grow to so many pages of 4 KiB only; a full disk for tests and quotas."""
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        # On a full disk the write-ahead log simply stays: it is read at the next start.
        with suppress(sqlite3.OperationalError):
            self._flush_withdrawn()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()

    def _insert(self, entry: Entry) -> int:
        request = entry.request
        cursor = self._connection.execute(
            f"INSERT INTO request ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constant
            (
                entry.at,
                entry.seed,
                entry.service,
                entry.operation,
                entry.region,
                entry.subject,
                request.method,
                request.target,
                json.dumps(request.headers),
                request.body,
            ),
        )
        return int(cursor.lastrowid or 0)

    def _flush_withdrawn(self) -> None:
        if self._withdrawn:
            with self._transaction():
                self._forget_withdrawn()
            self._withdrawn.clear()

    def _forget_withdrawn(self) -> None:
        self._connection.executemany("DELETE FROM request WHERE seq = ?", ((seq,) for seq in self._withdrawn))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, at, seed, service, operation, region, subject, method, target, headers, body = row
    pairs = tuple((name, value) for name, value in json.loads(headers))
    return Entry(
        seq, at, seed, service, operation, region, subject, HttpRequest(method, target, pairs, bytes(body))
    )
