from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from nightlatch.local.ecs.store import Store

MOST_TAGS = 50


class Tags:
    """Tags of every ECS resource, by ARN."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tags: dict[str, list[dict[str, str]]] = store.all("tags")

    def of(self, arn: str) -> list[dict[str, str]]:
        """The tags of a resource."""
        return [dict(tag) for tag in self._tags.get(arn, [])]

    def replace(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Give a resource exactly these tags.

        Raises:
            ApiError: ``InvalidParameterException`` for more than 50.
        """
        if len(tags) > MOST_TAGS:
            raise ApiError("InvalidParameterException", f"Tags can not be more than {MOST_TAGS}.")
        if tags or arn in self._tags:
            self._tags[arn] = [dict(tag) for tag in tags]
            self._store.put("tags", arn, self._tags[arn])

    def forget(self, arn: str) -> None:
        """Drop the tags of a resource that is gone."""
        if self._tags.pop(arn, None) is not None:
            self._store.delete("tags", arn)

    def tag(self, request: dict[str, Any]) -> dict[str, Any]:
        """TagResource."""
        arn = _arn(request)
        merged = {tag["key"]: tag for tag in [*self.of(arn), *request.get("tags", [])]}
        self.replace(arn, list(merged.values()))
        return {}

    def untag(self, request: dict[str, Any]) -> dict[str, Any]:
        """UntagResource."""
        arn = _arn(request)
        gone = set(request.get("tagKeys", []))
        self.replace(arn, [tag for tag in self.of(arn) if tag["key"] not in gone])
        return {}

    def list_all(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTagsForResource."""
        return {"tags": self.of(_arn(request))}


def _arn(request: dict[str, Any]) -> str:
    arn = request.get("resourceArn")
    if not isinstance(arn, str) or not arn.startswith("arn:"):
        raise ApiError("InvalidParameterException", "The specified resource ARN is not valid.")
    return arn
