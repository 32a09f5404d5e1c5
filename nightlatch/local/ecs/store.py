from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["cluster", "definition", "task", "tags", "token", "setting", "log"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""


class Store:
    """What ECS remembers, as JSON documents in one SQLite file.

    A write is on file when the call returns: it survives ``kill -9`` of this process (a power cut may take
    the last moments, as WAL with ``synchronous=NORMAL`` allows). Use from one thread.

    Args:
        path: The file; its directory is made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(_SCHEMA)

    def all(self, kind: Kind) -> dict[str, Any]:
        """Every document of a kind by key."""
        rows = self._connection.execute("SELECT key, body FROM documents WHERE kind = ?", (kind,))
        return {key: json.loads(body) for key, body in rows}

    def put(self, kind: Kind, key: str, body: object) -> None:
        """Write one document, replacing an older one."""
        self.put_all(kind, {key: body})

    def put_all(self, kind: Kind, documents: dict[str, Any]) -> None:
        """Write several documents: all of them or none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                "INSERT OR REPLACE INTO documents (kind, key, body) VALUES (?, ?, ?)",
                [(kind, key, json.dumps(body)) for key, body in documents.items()],
            )
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def delete(self, kind: Kind, key: str) -> None:
        """Forget one document, if it is there."""
        self._connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
