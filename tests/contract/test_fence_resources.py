"""A stale holder's write is refused by real resources: DynamoDB and S3 over HTTP, and a real PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from lock import Acquired, FencedError, LockTable
from lock.fence.dynamodb import lock_check, token_condition
from lock.fence.postgres import CREATE_TABLE, establish
from lock.fence.s3 import publish_manifest, read_manifest
from lock.table import table_definition
from tests.support.local_aws import LocalAws, local_aws
from tests.support.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["local_aws"]

KEY = "articles"
MANIFEST = "outputs/articles/manifest.json"


@dataclass(frozen=True)
class Succession:
    """A holder that was paused for longer than its lease, and the one that took over meanwhile."""

    server: LocalAws
    table: str
    old: Acquired
    new: Acquired


@pytest.fixture
def succession(local_aws: LocalAws) -> Succession:
    name = f"fence-{uuid.uuid4().hex[:8]}-locks"
    client = local_aws.client("dynamodb")
    client.create_table(**table_definition(name))
    locks = LockTable.connect(name, client=client)
    old = locks.acquire(KEY, locks.new_holder(owner="old", job="j", lease_ms=1))
    assert isinstance(old, Acquired)
    new = locks.take_over(old.item, locks.new_holder(owner="new", job="j", lease_ms=60_000))
    assert isinstance(new, Acquired)
    assert new.token > old.token
    return Succession(local_aws, name, old, new)


class TestDynamoDB:
    @pytest.fixture
    def data(self, local_aws: LocalAws) -> str:
        name = f"fence-{uuid.uuid4().hex[:8]}-data"
        local_aws.client("dynamodb").create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return name

    def test_a_transaction_asks_the_lock_itself(self, succession: Succession, data: str) -> None:
        client = succession.server.client("dynamodb")

        def write(who: Acquired) -> None:
            check = lock_check(succession.table, KEY, grant=who.holder.grant, token=who.token)
            put = {"TableName": data, "Item": {"id": {"S": "1"}, "by": {"S": who.holder.owner}}}
            client.transact_write_items(TransactItems=[check, {"Put": put}])

        # Refused even before the new holder has written anything: the lock itself was asked.
        with pytest.raises(client.exceptions.TransactionCanceledException):
            write(succession.old)
        write(succession.new)
        with pytest.raises(client.exceptions.TransactionCanceledException):
            write(succession.old)
        assert client.get_item(TableName=data, Key={"id": {"S": "1"}})["Item"]["by"] == {"S": "new"}

    def test_an_item_refuses_a_smaller_token(self, succession: Succession, data: str) -> None:
        client = succession.server.client("dynamodb")

        def write(who: Acquired) -> None:
            item = {"id": {"S": "1"}, "fence_token": {"N": str(who.token)}, "by": {"S": who.holder.owner}}
            client.put_item(TableName=data, Item=item, **token_condition(who.token))

        write(succession.old)
        write(succession.new)
        with pytest.raises(client.exceptions.ConditionalCheckFailedException):
            write(succession.old)
        assert client.get_item(TableName=data, Key={"id": {"S": "1"}})["Item"]["by"] == {"S": "new"}


class TestS3:
    @pytest.fixture
    def bucket(self, local_aws: LocalAws) -> str:
        name = f"fence-{uuid.uuid4().hex[:8]}"
        local_aws.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
        )
        return name

    def test_a_manifest_refuses_a_smaller_token(self, succession: Succession, bucket: str) -> None:
        client = succession.server.client("s3")

        def publish(who: Acquired) -> None:
            content = {"by": who.holder.owner}
            publish_manifest(client, bucket, MANIFEST, token=who.token, content=content)

        publish(succession.old)
        publish(succession.new)
        with pytest.raises(FencedError):
            publish(succession.old)
        assert read_manifest(client, bucket, MANIFEST).content == {"by": "new"}

    def test_of_many_at_once_the_greatest_token_stands(self, local_aws: LocalAws, bucket: str) -> None:
        refused: list[int] = []

        def publish(token: int) -> None:
            client = local_aws.client("s3")
            try:
                publish_manifest(client, bucket, MANIFEST, token=token, content={"token": token})
            except FencedError:
                refused.append(token)

        threads = [threading.Thread(target=publish, args=(token,)) for token in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read_manifest(local_aws.client("s3"), bucket, MANIFEST).token == 7
        assert 7 not in refused


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as server:
        with psycopg.connect(server.url) as connection:
            connection.execute(CREATE_TABLE)
            connection.execute("CREATE TABLE articles (token BIGINT, body TEXT)")
        yield server.url


class TestPostgres:
    def write(self, connection: Any, token: int, body: str) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            establish(cursor, KEY, token)
            cursor.execute("INSERT INTO articles VALUES (%s, %s)", (token, body))

    def bodies(self, url: str) -> list[str]:
        with psycopg.connect(url) as connection:
            return [body for (body,) in connection.execute("SELECT body FROM articles ORDER BY token")]

    def test_a_smaller_token_writes_nothing(self, succession: Succession, database: str) -> None:
        with psycopg.connect(database) as old, psycopg.connect(database) as new:
            self.write(old, succession.old.token, "old")
            self.write(new, succession.new.token, "new")
            with pytest.raises(FencedError):
                self.write(old, succession.old.token, "stale")
        assert self.bodies(database)[-2:] == ["old", "new"]

    def test_a_transaction_that_has_begun_is_waited_for(self, database: str) -> None:
        """The old holder fell asleep inside its transaction: the new one comes after it, not between."""
        written = threading.Event()
        with psycopg.connect(database) as old, psycopg.connect(database, autocommit=True) as new:
            old_cursor = old.cursor()
            establish(old_cursor, "pictures", 7)
            waiter = new.info.backend_pid

            def successor() -> None:
                with new.transaction():
                    establish(new.cursor(), "pictures", 9)
                written.set()

            thread = threading.Thread(target=successor)
            thread.start()
            with psycopg.connect(database, autocommit=True) as observer:
                query = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
                while observer.execute(query, (waiter,)).fetchone() != ("Lock",):
                    assert not written.is_set()
            old.commit()
            thread.join()
            assert written.is_set()
            with pytest.raises(FencedError):
                establish(old.cursor(), "pictures", 7)

    def test_a_dead_holder_blocks_nobody(self, database: str) -> None:
        """Killed inside its transaction: the server rolls it back with the connection."""
        dead = psycopg.connect(database)
        establish(dead.cursor(), "sounds", 7)
        dead.close()
        with psycopg.connect(database) as new:
            establish(new.cursor(), "sounds", 9)
            rows = new.execute("SELECT token FROM fence_tokens WHERE resource = 'sounds'").fetchall()
        assert rows == [(9,)]
