from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.state_directory import LocalStartError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (
    arn TEXT PRIMARY KEY, name TEXT NOT NULL, created_at REAL NOT NULL, revision TEXT NOT NULL,
    next_version INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE IF NOT EXISTS revision (
    id TEXT PRIMARY KEY, machine TEXT NOT NULL, created_at REAL NOT NULL, first INTEGER NOT NULL,
    definition TEXT NOT NULL, role TEXT NOT NULL, logging TEXT NOT NULL, tracing TEXT NOT NULL,
    encryption TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS version (
    machine TEXT NOT NULL, number INTEGER NOT NULL, revision TEXT NOT NULL, description TEXT NOT NULL,
    created_at REAL NOT NULL, PRIMARY KEY (machine, number)
) STRICT;
CREATE TABLE IF NOT EXISTS alias (
    arn TEXT PRIMARY KEY, machine TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    routing TEXT NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS tag (
    arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key)
) STRICT;
CREATE TABLE IF NOT EXISTS execution (
    id INTEGER PRIMARY KEY, arn TEXT NOT NULL UNIQUE, name TEXT NOT NULL, machine TEXT NOT NULL,
    version TEXT, alias TEXT, revision TEXT NOT NULL, status TEXT NOT NULL, start_at REAL NOT NULL,
    stop_at REAL, input TEXT NOT NULL, output TEXT, error TEXT, cause TEXT, trace TEXT,
    announced INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS execution_of_machine ON execution (machine, id);
CREATE INDEX IF NOT EXISTS execution_open ON execution (status) WHERE status = 'RUNNING';
CREATE TABLE IF NOT EXISTS event (
    execution INTEGER NOT NULL, id INTEGER NOT NULL, previous INTEGER NOT NULL, at REAL NOT NULL,
    type TEXT NOT NULL, details TEXT NOT NULL, PRIMARY KEY (execution, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS map_run (
    arn TEXT PRIMARY KEY, execution TEXT NOT NULL, machine TEXT NOT NULL, max_concurrency INTEGER NOT NULL,
    tolerated_count INTEGER NOT NULL, tolerated_percentage REAL NOT NULL, status TEXT NOT NULL,
    start_at REAL NOT NULL, stop_at REAL, pending INTEGER NOT NULL, running INTEGER NOT NULL,
    succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, timed_out INTEGER NOT NULL, aborted INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS map_run_of_execution ON map_run (execution);
CREATE TABLE IF NOT EXISTS map_run_item (execution INTEGER PRIMARY KEY, map_run TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS item_of_map_run ON map_run_item (map_run, execution);
"""

Row = sqlite3.Row


class Store:
    """Machines, executions and history in a SQLite file in WAL mode.

    What a reply acknowledges is committed before. Survives the death of the process at any moment.
    Use from the trio thread: a commit takes some 50 µs because nothing is forced to the disk
    (``synchronous`` is NORMAL).
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, SCHEMA_VERSION}:
            self._connection.close()
            raise LocalStartError(
                f"{path} was written by another version of nightlatch (format {version}, this one reads "
                f"{SCHEMA_VERSION}). Run `nightlatch local reset` to start afresh."
            )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def rows(self, sql: str, *values: object) -> list[Row]:
        """All rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> Row | None:
        """The first row of a query."""
        found: Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def insert(self, table: str, **values: object) -> int:
        """Insert one row and return its number."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - names from our own code
            tuple(values.values()),
        )
        return int(cursor.lastrowid or 0)

    def run(self, sql: str, *values: object) -> None:
        """Carry out one statement."""
        self._connection.execute(sql, values)

    def run_many(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Carry out one statement for each row."""
        self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing.

        Raises:
            ApiError: ``StorageFullException``: it could not be stored, and nothing changed.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._rollback()
            raise ApiError(
                "StorageFullException",
                f"The local AWS could not store this request ({error}), so it was refused and nothing "
                "changed. Free disk space in the state directory and try again.",
                507,
            ) from error
        except BaseException:
            self._rollback()
            raise

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        # On a full disk the write-ahead log simply stays: it is read at the next start.
        with suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def dumps(value: object) -> str:
    """Compact JSON text, as Step Functions shows data."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def present(**members: Any) -> dict[str, Any]:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
