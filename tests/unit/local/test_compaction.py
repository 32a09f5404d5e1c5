from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from nightlatch.local.api_error import ApiError
from nightlatch.local.moto import compaction
from nightlatch.local.moto.botocore_caller import BotocoreCaller
from nightlatch.local.moto.engine import MotoEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REGION = "ap-northeast-1"


class Others:
    """moto in this process over a journal; `again` starts it afresh from the journal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.engine = MotoEngine(path, "000000000000")
        self._caller = BotocoreCaller(self.engine, REGION, "127.0.0.1")

    def __call__(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return self._caller.call(service, operation, params)[0]

    def again(self) -> Others:
        self.engine.close()
        _forget_everything()
        return Others(self._path)


def _forget_everything() -> None:
    """moto keeps its state in the module: a process that starts anew has none."""
    from moto.backends import get_backend  # noqa: PLC0415 - heavy

    for service in ("dynamodb", "s3", "logs", "sqs"):
        get_backend(service).reset()


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Others]:
    made = Others(tmp_path / "journal.sqlite")
    yield made
    _forget_everything()


@pytest.fixture
def compact(others: Others) -> Callable[[], int]:
    def run(now: float | None = None) -> int:
        engine = others.engine
        before = engine._journal.count()

        def ask(request: Any) -> Any:
            return engine._answer(request, REGION, time.time(), 0)

        compaction.compact(engine._journal, ask, now=now or time.time())
        return before - engine._journal.count()

    return run


def _table(others: Others) -> None:
    others(
        "dynamodb",
        "CreateTable",
        TableName="t",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def test_items_are_kept_as_they_are_and_their_history_goes(
    others: Others, compact: Callable[[], int]
) -> None:
    _table(others)
    for number in range(60):
        others(
            "dynamodb", "PutItem", TableName="t", Item={"k": {"S": f"{number % 30}"}, "n": {"N": f"{number}"}}
        )
    others("dynamodb", "DeleteItem", TableName="t", Key={"k": {"S": "0"}})
    others(
        "dynamodb",
        "UpdateItem",
        TableName="t",
        Key={"k": {"S": "1"}},
        UpdateExpression="SET b = :b",
        ExpressionAttributeValues={":b": {"B": b"\x00\xfe"}},
    )
    before = others("dynamodb", "Scan", TableName="t")["Items"]
    assert compact() == 60
    again = others.again()
    assert sorted(map(repr, again("dynamodb", "Scan", TableName="t")["Items"])) == sorted(map(repr, before))
    assert len(before) == 29


def _bucket(others: Others, *, versioned: bool) -> None:
    others("s3", "CreateBucket", Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    if versioned:
        others("s3", "PutBucketVersioning", Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})


def test_overwritten_objects_go_and_conditions_on_them_too(
    others: Others, compact: Callable[[], int]
) -> None:
    _bucket(others, versioned=False)
    first = others("s3", "PutObject", Bucket="bucket", Key="k", Body=b"1", IfNoneMatch="*")
    others("s3", "PutObject", Bucket="bucket", Key="k", Body=b"2", IfMatch=first["ETag"])
    others("s3", "PutObject", Bucket="bucket", Key="other", Body=b"3")
    with pytest.raises(ApiError):
        others("s3", "PutObject", Bucket="bucket", Key="k", Body=b"4", IfNoneMatch="*")
    assert compact() == 1
    again = others.again()
    assert again("s3", "GetObject", Bucket="bucket", Key="k")["Body"] == b"2"
    assert again("s3", "GetObject", Bucket="bucket", Key="other")["Body"] == b"3"


def test_of_a_versioned_object_the_newest_twenty_stay(others: Others, compact: Callable[[], int]) -> None:
    _bucket(others, versioned=True)
    for number in range(25):
        others("s3", "PutObject", Bucket="bucket", Key="k", Body=b"%d" % number)
    before = others("s3", "ListObjectVersions", Bucket="bucket")["Versions"]
    assert compact() == 5
    after = others.again()("s3", "ListObjectVersions", Bucket="bucket")["Versions"]
    assert after == before[:20]


def test_parts_of_an_upload_that_counts_stay(others: Others, compact: Callable[[], int]) -> None:
    _bucket(others, versioned=False)
    others("s3", "PutObject", Bucket="bucket", Key="k", Body=b"old")
    upload = others("s3", "CreateMultipartUpload", Bucket="bucket", Key="k")["UploadId"]
    address = {"Bucket": "bucket", "Key": "k", "UploadId": upload}
    part = others("s3", "UploadPart", **address, PartNumber=1, Body=b"new")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    others("s3", "CompleteMultipartUpload", **address, MultipartUpload=parts)
    others("s3", "CreateMultipartUpload", Bucket="bucket", Key="k")
    assert compact() == 1
    again = others.again()
    assert again("s3", "GetObject", Bucket="bucket", Key="k")["Body"] == b"new"
    assert len(again("s3", "ListMultipartUploads", Bucket="bucket")["Uploads"]) == 1


def test_old_logs_and_messages_go_and_new_ones_stay(others: Others, compact: Callable[..., int]) -> None:
    others("logs", "CreateLogGroup", logGroupName="/g")
    now = int(time.time() * 1000)
    for stream in ("a", "b"):
        others("logs", "CreateLogStream", logGroupName="/g", logStreamName=stream)
        others(
            "logs",
            "PutLogEvents",
            logGroupName="/g",
            logStreamName=stream,
            logEvents=[{"timestamp": now, "message": "m"}],
        )
    queue = others("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
    others("sqs", "SendMessage", QueueUrl=queue, MessageBody="m")
    assert compact() == 0
    assert compact(time.time() + 8 * compaction.DAY) == 4
    assert compact(time.time() + 15 * compaction.DAY) == 1


def test_compaction_is_due_after_many_writes_and_later_for_big_tables() -> None:
    plan = compaction.Plan()
    for _ in range(compaction.FIRST_COMPACTION):
        plan.note("dynamodb", "PutItem")
        plan.note("iam", "CreateRole")
    assert not plan.due
    plan.note("s3", "PutObject")
    assert plan.due
    assert not compaction.Plan(dumped=1000, foldable=1500).due


def test_an_engine_compacts_by_itself_and_loses_nothing(others: Others) -> None:
    _table(others)
    for number in range(compaction.FIRST_COMPACTION + 5):
        others(
            "dynamodb", "PutItem", TableName="t", Item={"k": {"S": f"{number % 7}"}, "n": {"N": f"{number}"}}
        )
    assert others.engine._journal.count() < 10
    assert len(others.again()("dynamodb", "Scan", TableName="t")["Items"]) == 7


def test_a_refused_write_leaves_no_trace(others: Others) -> None:
    _table(others)
    for _ in range(3):
        with pytest.raises(ApiError) as refusal:
            others(
                "dynamodb",
                "PutItem",
                TableName="t",
                Item={"k": {"S": "a"}},
                ConditionExpression="attribute_exists(k)",
            )
        assert refusal.value.code == "ConditionalCheckFailedException"
    assert others.engine._journal.count() == 1
