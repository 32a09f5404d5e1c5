"""The runs table: what is remembered of each run after it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

from nightlatch.operations.runs import Run, from_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from nightlatch.operations.deployment import Deployment

# Items that are not runs: the watchdog's marks, and who paused a schedule.
WATCHDOG = "watchdog#"
PAUSE = "pause#"
_NOT_RUNS = (WATCHDOG, PAUSE)
_FIND_PAGES = 10


def plain_item(item: dict[str, Any]) -> dict[str, Any]:
    """An item of DynamoDB in plain Python values; numbers become int or float."""
    read = TypeDeserializer().deserialize
    return {key: _number(read(value)) for key, value in item.items()}


def _number(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _number(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_number(inner) for inner in value]
    if hasattr(value, "as_integer_ratio") and not isinstance(value, (int, float)):
        return int(value) if value == int(value) else float(value)
    return value


def _pages(deployment: Deployment, job: str, **more: Any) -> Iterator[list[dict[str, Any]]]:
    request: dict[str, Any] = {
        "TableName": deployment.installation.runs_table,
        "KeyConditionExpression": "#job = :job",
        "ExpressionAttributeNames": {"#job": "job"},
        "ExpressionAttributeValues": {":job": {"S": job}},
        "ScanIndexForward": False,
        **more,
    }
    while True:
        reply = deployment.clients.dynamodb.query(**request)
        yield [plain_item(item) for item in reply["Items"]]
        last = reply.get("LastEvaluatedKey")
        if not last:
            return
        request["ExclusiveStartKey"] = last


def list_records(
    deployment: Deployment, job: str, *, since: datetime | None = None, limit: int = 20
) -> list[Run]:
    """Recorded runs of a job, newest first.

    Args:
        deployment: The environment.
        job: The job's name.
        since: Only those that started at or after this moment.
        limit: At most so many.
    """
    found: list[Run] = []
    for page in _pages(deployment, job, Limit=max(limit, 20)):
        for item in page:
            if str(item["run"]).startswith(_NOT_RUNS):
                continue
            run = from_record(item)
            if since is not None and run.started_at < since:
                continue
            found.append(run)
        if len(found) >= limit:
            break
    return found[:limit]


def records_of_time(deployment: Deployment, job: str, run_key: str) -> list[Run]:
    """The records of one scheduled time: one that worked, and any duplicates."""
    pages = _pages(
        deployment,
        job,
        KeyConditionExpression="#job = :job AND begins_with(#run, :prefix)",
        ExpressionAttributeNames={"#job": "job", "#run": "run"},
        ExpressionAttributeValues={":job": {"S": job}, ":prefix": {"S": f"{run_key}#"}},
    )
    return [from_record(item) for page in pages for item in page]


def find_record(deployment: Deployment, job: str, run: str) -> Run | None:
    """The record of one run, or None. Looks through the job's newest thousands of records only."""
    names = {"#job": "job", "#name": "name"}
    values = {":job": {"S": job}, ":name": {"S": run}}
    pages = _pages(
        deployment,
        job,
        FilterExpression="#name = :name",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
    )
    for _, page in zip(range(_FIND_PAGES), pages, strict=False):
        if page:
            return from_record(page[0])
    return None


def read_mark(deployment: Deployment, job: str, mark: str) -> dict[str, Any] | None:
    """One item that is not a run, such as a pause or the watchdog's mark of a scheduled time."""
    reply = deployment.clients.dynamodb.get_item(
        TableName=deployment.installation.runs_table,
        Key={"job": {"S": job}, "run": {"S": mark}},
        ConsistentRead=True,
    )
    item = reply.get("Item")
    return plain_item(item) if item else None
