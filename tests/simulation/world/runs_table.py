"""The runs table: records by job and run, with the conditions in use."""

from collections.abc import Mapping
from typing import Any

from tests.simulation.world.errors import ConditionFailedError, ServiceError

Item = Mapping[str, Mapping[str, Any]]


class RunsTable:
    """The records.

    Attributes:
        items: by (job, run).
        writes: how many puts arrived, refused ones included.
    """

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self.writes = 0

    def put(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """PutItem."""
        self.writes += 1
        item = request["Item"]
        for name, value in item.items():
            ((tag, inner),) = value.items()
            if tag in {"S", "N"} and not isinstance(inner, str):
                raise ServiceError("ValidationException", f"{name} is {value}")
        key = (item["job"]["S"], item["run"]["S"])
        before = self.items.get(key)
        condition = request.get("ConditionExpression")
        if condition is not None and before is not None:
            assert condition.startswith("attribute_not_exists(#run)")
            _, _, again = condition.partition(" OR ")
            name, _, value = again.partition(" = ")
            mine = request.get("ExpressionAttributeValues", {}).get(value)
            if not again or before.get(request["ExpressionAttributeNames"][name]) != mine:
                raise ConditionFailedError
        self.items[key] = item
        return {}

    def query(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Query by job and the beginning of the run."""
        assert request["ConsistentRead"] is True
        values = {name: value["S"] for name, value in request["ExpressionAttributeValues"].items()}
        names = request["ExpressionAttributeNames"]
        wanted = [names[name] for name in request["ProjectionExpression"].split(", ")]
        fits = {
            "#job = :job AND begins_with(#run, :time)": lambda run: run.startswith(values[":time"]),
            "#job = :job AND #run >= :time": lambda run: run >= values[":time"],
        }[request["KeyConditionExpression"]]
        outcomes = None
        if "FilterExpression" in request:
            assert request["FilterExpression"] == (
                "attribute_exists(#run_key) AND #outcome IN (:succeeded, :failed, :timed_out, :stopped)"
            )
            outcomes = {"succeeded", "failed", "timed_out", "stopped"}
        found = [
            {name: item[name] for name in wanted if name in item}
            for (job, run), item in sorted(self.items.items())
            if job == values[":job"]
            and fits(run)
            and (outcomes is None or ("run_key" in item and plain(item).get("outcome") in outcomes))
        ]
        return {"Items": found, "Count": len(found)}

    def records(self, job: str | None = None) -> list[dict[str, Any]]:
        """The runs, plainly; not the marks of the watchdog."""
        return [
            plain(item)
            for (owner, run), item in sorted(self.items.items())
            if not run.startswith("watchdog#") and job in {None, owner}
        ]


def plain(item: Item) -> dict[str, Any]:
    """DynamoDB JSON as plain values."""

    def value(typed: Mapping[str, Any]) -> Any:
        ((tag, inner),) = typed.items()
        if tag == "N":
            return int(inner)
        return {key: value(member) for key, member in inner.items()} if tag == "M" else inner

    return {name: value(typed) for name, typed in item.items()}
