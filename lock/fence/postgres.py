"""Fenced writes to PostgreSQL (and SQLite): one statement, in the transaction of the data.

    with connection:                                  # one transaction
        establish(connection.cursor(), "articles", token)
        ... write the data ...

The row of the resource stays locked until the transaction ends, so a newer holder waits for a transaction
that has begun, and an older one finds a greater token and is refused.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from lock.errors import FencedError

CREATE_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS fence_tokens (resource TEXT PRIMARY KEY, token BIGINT NOT NULL)"
)
"""Run it once, where the schema is made; `establish` does not."""

_ESTABLISH: Final = (
    "INSERT INTO fence_tokens (resource, token) VALUES ({0}, {0})"
    " ON CONFLICT (resource) DO UPDATE SET token = EXCLUDED.token"
    " WHERE fence_tokens.token <= EXCLUDED.token"
)
ESTABLISH: Final = _ESTABLISH.format("%s")
"""For psycopg and other drivers with `%s` placeholders. No row changed means: the token is too old."""
ESTABLISH_QMARK: Final = _ESTABLISH.format("?")
"""For sqlite3 and other drivers with `?` placeholders."""


class Cursor(Protocol):
    """What is needed of a DB-API 2.0 cursor."""

    @property
    def rowcount(self) -> int:
        """Rows changed by the last statement."""

    def execute(self, statement: Any, parameters: Sequence[Any], /) -> Any:
        """Run one statement."""


def establish(cursor: Cursor, resource: str, token: int, *, statement: str = ESTABLISH) -> None:
    """Record the token in this transaction, or refuse it.

    Raises:
        FencedError: a greater token has been here. Roll back.
    """
    cursor.execute(statement, (resource, token))
    if cursor.rowcount == 0:
        raise FencedError(resource, token)
