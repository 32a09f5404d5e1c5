from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.names import machine_arn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightlatch.local.stepfunctions.store import Store

_MOST_TAGS = 50


class Tags:
    """The tags of state machines."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, arn: str, tags: Sequence[dict[str, Any]]) -> None:
        """Set tags, within the caller's transaction.

        Raises:
            ApiError: ``TooManyTags``.
        """
        self._store.run_many(
            "INSERT OR REPLACE INTO tag (arn, key, value) VALUES (?, ?, ?)",
            [(arn, tag["key"], tag.get("value", "")) for tag in tags],
        )
        count = self._store.row("SELECT count(*) AS tags FROM tag WHERE arn = ?", arn)
        if count is not None and count["tags"] > _MOST_TAGS:
            raise ApiError("TooManyTags", f"A resource has at most {_MOST_TAGS} tags.")

    def tag(self, request: dict[str, Any]) -> dict[str, Any]:
        """TagResource."""
        arn = self._taggable(request)
        with self._store.transaction():
            self.put(arn, request.get("tags") or [])
        return {}

    def untag(self, request: dict[str, Any]) -> dict[str, Any]:
        """UntagResource."""
        arn = self._taggable(request)
        with self._store.transaction():
            self._store.run_many(
                "DELETE FROM tag WHERE arn = ? AND key = ?",
                [(arn, key) for key in request.get("tagKeys") or []],
            )
        return {}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTagsForResource."""
        rows = self._store.rows(
            "SELECT key, value FROM tag WHERE arn = ? ORDER BY key", self._taggable(request)
        )
        return {"tags": [{"key": row["key"], "value": row["value"]} for row in rows]}

    def _taggable(self, request: dict[str, Any]) -> str:
        arn = machine_arn(request.get("resourceArn"))
        if arn.qualified or self._store.row("SELECT 1 FROM machine WHERE arn = ?", arn.arn) is None:
            raise ApiError("ResourceNotFound", f"Resource not found: '{request['resourceArn']}'")
        return arn.arn
