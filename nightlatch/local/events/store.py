from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS timers (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """What must outlive this process: what fired last, and what is not delivered yet.

    A write is on file when the call returns. Use from one thread.

    Args:
        path: The SQLite file; its directory is made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def timers(self) -> dict[str, dict[str, Any]]:
        """What is known of each schedule and scheduled rule, by ARN."""
        return {key: json.loads(body) for key, body in self._connection.execute("SELECT * FROM timers")}

    def put_timer(self, key: str, body: dict[str, Any]) -> None:
        """Write what is known of one."""
        self._connection.execute("INSERT OR REPLACE INTO timers VALUES (?, ?)", (key, json.dumps(body)))

    def forget_timer(self, key: str) -> None:
        """Forget a schedule that does not exist any more."""
        self._connection.execute("DELETE FROM timers WHERE key = ?", (key,))

    def fired(self, timer: str, body: dict[str, Any], deliveries: dict[str, dict[str, Any]]) -> None:
        """Write together that something fired and what is to be delivered for it.

        Apart, a crash between the two would lose the firing.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        self.put_timer(timer, body)
        for key, delivery in deliveries.items():
            self.put_delivery(key, delivery)
        self._connection.execute("COMMIT")

    def deliveries(self) -> dict[str, dict[str, Any]]:
        """What is not delivered yet, by key."""
        return {key: json.loads(body) for key, body in self._connection.execute("SELECT * FROM deliveries")}

    def put_delivery(self, key: str, body: dict[str, Any]) -> None:
        """Remember something to be delivered."""
        self._connection.execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?)", (key, json.dumps(body)))

    def delivered(self, key: str) -> None:
        """Forget what is delivered or given up."""
        self._connection.execute("DELETE FROM deliveries WHERE key = ?", (key,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
