from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from nightlatch.local.http.message import HttpRequest
from nightlatch.local.moto.journal import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nightlatch.local.http.message import HttpReply
    from nightlatch.local.moto.journal import Journal

Ask = "Callable[[HttpRequest], HttpReply]"

DAY = 86_400.0
LOGS_KEPT_SECONDS = 7 * DAY
LOGS_KEPT_BYTES = 64 * 1024 * 1024
# The longest that SQS keeps a message.
MESSAGES_KEPT_SECONDS = 14 * DAY
VERSIONS_KEPT = 20
FIRST_COMPACTION = 1_000
BATCH = 25

ITEM_WRITES = frozenset(
    {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "TransactWriteItems",
        "ExecuteStatement",
        "ExecuteTransaction",
        "BatchExecuteStatement",
    }
)
# Where one of these is remembered, what the items were at that time matters; then all of them stay.
ITEM_HISTORY = frozenset(
    {
        "CreateBackup",
        "RestoreTableFromBackup",
        "RestoreTableToPointInTime",
        "ImportTable",
        "ExportTableToPointInTime",
    }
)
OBJECT_WRITES = frozenset(
    {
        "PutObject",
        "CopyObject",
        "DeleteObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
    }
)
WHOLE_OBJECTS = frozenset({"PutObject", "CompleteMultipartUpload", "CopyObject", "DeleteObject"})
LOG_WRITES = frozenset({"PutLogEvents", "CreateLogStream"})
MESSAGES = {
    "sns": frozenset({"Publish", "PublishBatch"}),
    "sqs": frozenset(
        {
            "SendMessage",
            "SendMessageBatch",
            "ReceiveMessage",
            "DeleteMessage",
            "DeleteMessageBatch",
            "ChangeMessageVisibility",
            "ChangeMessageVisibilityBatch",
        }
    ),
    "events": frozenset({"PutEvents"}),
    "cloudwatch": frozenset({"PutMetricData"}),
}
CONDITIONS = frozenset({"if-match", "if-none-match", "if-unmodified-since"})


@dataclass
class Plan:
    """When to compact: after so many writes that can be folded that the work is repaid.

    Attributes:
        dumped: How many requests the last compaction wrote; a big table is dumped seldom.
        foldable: How many foldable writes came since.
    """

    dumped: int = 0
    foldable: int = 0

    def note(self, service: str, operation: str) -> None:
        """Count one write."""
        self.foldable += foldable(service, operation)

    @property
    def due(self) -> bool:
        """Whether the next moment is a good one."""
        return self.foldable > max(FIRST_COMPACTION, 2 * self.dumped)

    @property
    def worthwhile(self) -> bool:
        """Whether to use the rest at a clean stop."""
        return self.foldable > max(FIRST_COMPACTION // 5, self.dumped)


def foldable(service: str, operation: str) -> bool:
    """Whether writes of this kind can be replaced by fewer."""
    return (
        (service == "dynamodb" and operation in ITEM_WRITES)
        or (service == "s3" and operation in OBJECT_WRITES)
        or (service == "logs" and operation in LOG_WRITES)
        or operation in MESSAGES.get(service, frozenset())
    )


@dataclass
class _Change:
    drop: list[int] = field(default_factory=list)
    unconditional: list[tuple[int, HttpRequest]] = field(default_factory=list)
    add: list[Entry] = field(default_factory=list)


def compact(journal: Journal, ask: Callable[[HttpRequest], HttpReply], *, now: float) -> int:
    """Replace the journal by a shorter one that gives the same state.

    DynamoDB items become batches of what the tables hold now; objects that were overwritten go (of a
    versioned bucket the newest 20 versions of each object stay); logs stay for 7 days and 64 MiB, messages,
    events and metrics for 14 days. Everything else is kept as it was.

    Args:
        journal: What to shorten.
        ask: Sends a read to moto as it stands.
        now: Epoch seconds.

    Returns:
        How many requests were added for the tables' items.
    """
    outlines = journal.outlines()
    change = _Change()
    _items(outlines, ask, now, change)
    _objects(outlines, change)
    _logs(outlines, journal, now, change)
    change.drop.extend(
        entry.seq
        for entry in outlines
        if entry.operation in MESSAGES.get(entry.service, frozenset())
        and entry.at < now - MESSAGES_KEPT_SECONDS
    )
    journal.replace(change.drop, change.unconditional, change.add)
    return len(change.add)


def _items(
    outlines: list[Entry], ask: Callable[[HttpRequest], HttpReply], now: float, change: _Change
) -> None:
    tables = [entry for entry in outlines if entry.service == "dynamodb"]
    if any(entry.operation in ITEM_HISTORY for entry in tables):
        return
    change.drop.extend(entry.seq for entry in tables if entry.operation in ITEM_WRITES)
    regions = {entry.region: entry.request for entry in tables if entry.operation == "CreateTable"}
    for region, sample in regions.items():
        for table in _pages(ask, sample, "ListTables", {}, "TableNames", "ExclusiveStartTableName"):
            items = _pages(ask, sample, "Scan", {"TableName": table}, "Items", "ExclusiveStartKey")
            for batch in _batches(items):
                body = {"RequestItems": {table: [{"PutRequest": {"Item": item}} for item in batch]}}
                request = _dynamodb(sample, "BatchWriteItem", body)
                change.add.append(Entry(0, now, 0, "dynamodb", "BatchWriteItem", region, "", request))


def _pages(
    ask: Callable[[HttpRequest], HttpReply],
    sample: HttpRequest,
    operation: str,
    body: dict[str, Any],
    member: str,
    start: str,
) -> Iterable[Any]:
    last = {"ExclusiveStartTableName": "LastEvaluatedTableName", "ExclusiveStartKey": "LastEvaluatedKey"}[
        start
    ]
    while True:
        reply = ask(_dynamodb(sample, operation, body))
        page = json.loads(reply.body)
        yield from page[member]
        if last not in page:
            return
        body = {**body, start: page[last]}


def _batches(items: Iterable[Any]) -> Iterable[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _dynamodb(sample: HttpRequest, operation: str, body: dict[str, Any]) -> HttpRequest:
    kept = tuple((name, value) for name, value in sample.headers if name in {"host", "authorization"})
    headers = (
        *kept,
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", f"DynamoDB_20120810.{operation}"),
    )
    return HttpRequest("POST", "/", headers, json.dumps(body).encode())


def _objects(outlines: list[Entry], change: _Change) -> None:
    """Drop the writes that a later write of the same object made invisible."""
    versioned = {
        entry.subject.rstrip("/")
        for entry in outlines
        if entry.service == "s3" and "versioning" in parse_qs(entry.request.query, keep_blank_values=True)
    }
    sources = {
        unquote(entry.request.header("x-amz-copy-source")).lstrip("/").partition("?")[0]
        for entry in outlines
        if entry.operation in {"CopyObject", "UploadPart"}
    }
    objects: dict[str, list[Entry]] = defaultdict(list)
    for entry in outlines:
        if entry.service == "s3" and entry.operation in OBJECT_WRITES and entry.subject not in sources:
            objects[entry.subject].append(entry)
    for name, entries in objects.items():
        keep = VERSIONS_KEPT if name.partition("/")[0] in versioned else 1
        whole = [entry for entry in entries if entry.operation in WHOLE_OBJECTS and not _of_version(entry)]
        if len(whole) < keep:
            continue
        kept = whole[-keep:]
        uploads = {_upload(entry) for entry in kept} - {""}
        pending = {_upload(entry) for entry in entries} - {_upload(entry) for entry in whole}
        oldest = kept[0].seq
        if uploads or pending - {""}:
            # Parts of an upload that counts, or still may, stand before its completion.
            change.drop.extend(
                entry.seq
                for entry in entries
                if entry.seq < oldest and entry.operation in {"PutObject", "DeleteObject"}
            )
        else:
            change.drop.extend(entry.seq for entry in entries if entry.seq < oldest)
        if len(kept) < len(whole):
            change.unconditional.extend(
                (entry.seq, _without_conditions(entry.request))
                for entry in entries
                if entry.seq >= oldest and any(entry.request.header(name) for name in CONDITIONS)
            )


def _of_version(entry: Entry) -> bool:
    return "versionId" in parse_qs(entry.request.query)


def _upload(entry: Entry) -> str:
    return parse_qs(entry.request.query).get("uploadId", [""])[0]


def _without_conditions(request: HttpRequest) -> HttpRequest:
    return replace(
        request, headers=tuple((name, value) for name, value in request.headers if name not in CONDITIONS)
    )


def _logs(outlines: list[Entry], journal: Journal, now: float, change: _Change) -> None:
    room = LOGS_KEPT_BYTES
    alive: set[str] = set()
    for entry in reversed(outlines):
        if entry.service != "logs" or entry.operation not in LOG_WRITES:
            continue
        if entry.operation == "PutLogEvents":
            room -= journal.size_of(entry.seq)
            if entry.at < now - LOGS_KEPT_SECONDS or room < 0:
                change.drop.append(entry.seq)
            else:
                alive.add(entry.subject)
        elif entry.at < now - LOGS_KEPT_SECONDS and entry.subject not in alive:
            change.drop.append(entry.seq)
