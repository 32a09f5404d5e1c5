"""A stale holder's write is refused at the resource, by each helper."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from types_boto3_dynamodb import DynamoDBClient
from types_boto3_s3 import S3Client

from lock import Acquired, FencedError, ItemError, LockTable
from lock.fence.dynamodb import grant_check, lock_check, token_condition
from lock.fence.postgres import CREATE_TABLE, ESTABLISH, ESTABLISH_QMARK, establish
from lock.fence.s3 import Manifest, publish_manifest, read_manifest
from tests.support.lock_tables import TABLE, in_process_client

KEY = "articles"
BUCKET, MANIFEST = "nightlatch-test-artifacts", "outputs/articles/manifest.json"


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client = in_process_client()
        client.create_table(
            TableName="data",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


class TestDynamoDB:
    def old_and_new(self, table: LockTable) -> tuple[Acquired, Acquired]:
        """A holder that was paused for longer than its lease, and the one that took over."""

        def holder(name: str) -> Any:
            return table.new_holder(owner=name, job="j", lease_ms=1000)

        old = table.acquire(KEY, holder("old"))
        assert isinstance(old, Acquired)
        new = table.take_over(old.item, holder("new"))
        assert isinstance(new, Acquired)
        return old, new

    def write(self, client: DynamoDBClient, check: dict[str, Any], value: str) -> None:
        put: Any = {"Put": {"TableName": "data", "Item": {"id": {"S": "1"}, "value": {"S": value}}}}
        entries: Any = [check, put]
        client.transact_write_items(TransactItems=entries)

    def test_the_lock_itself_is_asked(self, dynamodb: DynamoDBClient) -> None:
        old, new = self.old_and_new(LockTable.connect(TABLE, client=dynamodb))
        self.write(dynamodb, lock_check(TABLE, KEY, grant=new.holder.grant, token=new.token), "new")
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
            self.write(dynamodb, lock_check(TABLE, KEY, grant=old.holder.grant, token=old.token), "old")
        assert dynamodb.get_item(TableName="data", Key={"id": {"S": "1"}})["Item"]["value"] == {"S": "new"}

    def test_a_shard_shows_the_grant_of_its_run(self, dynamodb: DynamoDBClient) -> None:
        old, new = self.old_and_new(LockTable.connect(TABLE, client=dynamodb))
        self.write(dynamodb, grant_check(TABLE, KEY, owner="new", grant=new.holder.grant), "new")
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
            self.write(dynamodb, grant_check(TABLE, KEY, owner="old", grant=old.holder.grant), "old")

    def test_an_item_remembers_the_greatest_token(self, dynamodb: DynamoDBClient) -> None:
        def put(token: int) -> None:
            item = {"id": {"S": "1"}, "fence_token": {"N": str(token)}}
            dynamodb.put_item(TableName="data", Item=item, **token_condition(token))

        for token in (7, 7, 9):
            put(token)
        with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
            put(8)


class TestSql:
    """With SQLite, whose upsert is PostgreSQL's; the statement differs in its placeholder only."""

    def test_a_smaller_token_is_refused(self) -> None:
        connection = sqlite3.connect(":memory:")
        connection.execute(CREATE_TABLE)
        for token in (7, 7, 9):
            establish(connection.cursor(), "articles", token, statement=ESTABLISH_QMARK)
        with pytest.raises(FencedError, match="token 8 is too old for 'articles'"):
            establish(connection.cursor(), "articles", 8, statement=ESTABLISH_QMARK)
        establish(connection.cursor(), "pictures", 1, statement=ESTABLISH_QMARK)
        rows = connection.execute("SELECT resource, token FROM fence_tokens ORDER BY resource").fetchall()
        assert rows == [("articles", 9), ("pictures", 1)]
        connection.close()

    def test_the_two_statements_are_the_same(self) -> None:
        assert ESTABLISH.replace("%s", "?") == ESTABLISH_QMARK


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        client.create_bucket(Bucket=BUCKET)
        yield client


class TestS3:
    def test_a_smaller_token_publishes_nothing(self, s3: S3Client) -> None:
        assert read_manifest(s3, BUCKET, MANIFEST) == Manifest(token=-1)
        publish_manifest(s3, BUCKET, MANIFEST, token=7, content={"data": "7/a.json"})
        publish_manifest(s3, BUCKET, MANIFEST, token=9, content={"data": "9/a.json"})
        with pytest.raises(FencedError, match="token 8 is too old"):
            publish_manifest(s3, BUCKET, MANIFEST, token=8, content={"data": "8/a.json"})
        published = read_manifest(s3, BUCKET, MANIFEST)
        assert (published.token, published.content) == (9, {"data": "9/a.json"})

    def test_the_same_token_may_publish_again(self, s3: S3Client) -> None:
        publish_manifest(s3, BUCKET, MANIFEST, token=7, content={"data": "a"})
        publish_manifest(s3, BUCKET, MANIFEST, token=7, content={"data": "b"})
        assert read_manifest(s3, BUCKET, MANIFEST).content == {"data": "b"}

    @pytest.mark.parametrize(("rival", "wins"), [(9, True), (5, False)])
    def test_a_rival_between_read_and_write_is_seen(self, s3: S3Client, *, rival: int, wins: bool) -> None:
        publish_manifest(s3, BUCKET, MANIFEST, token=4, content={"data": "first"})
        rivals = [rival]

        def interfere(**_: Any) -> None:
            if rivals:
                publish_manifest(s3, BUCKET, MANIFEST, token=rivals.pop(), content={"data": "rival"})

        s3.meta.events.register_first("before-call.s3.PutObject", interfere)
        if wins:
            with pytest.raises(FencedError):
                publish_manifest(s3, BUCKET, MANIFEST, token=7, content={"data": "mine"})
        else:
            publish_manifest(s3, BUCKET, MANIFEST, token=7, content={"data": "mine"})
        assert read_manifest(s3, BUCKET, MANIFEST).content == {"data": "rival" if wins else "mine"}

    def test_something_else_is_not_overwritten(self, s3: S3Client) -> None:
        s3.put_object(Bucket=BUCKET, Key=MANIFEST, Body=json.dumps(["not", "ours"]).encode())
        with pytest.raises(ItemError, match="not a manifest"):
            publish_manifest(s3, BUCKET, MANIFEST, token=7, content={})
