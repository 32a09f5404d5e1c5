"""The resources that a stale holder must not write to: DynamoDB twice, PostgreSQL, S3; all of them real."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import botocore.session
import psycopg
from boto3.session import Session
from botocore.config import Config

from lock import FencedError
from lock.fence.dynamodb import lock_check, token_condition
from lock.fence.postgres import CREATE_TABLE, establish
from lock.fence.s3 import publish_manifest
from lock.table import table_definition

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = os.environ.get("AWS_DEFAULT_REGION", "ap-northeast-1")
_CREATE_LOG = (
    "CREATE TABLE IF NOT EXISTS writes (seq BIGSERIAL PRIMARY KEY, resource TEXT, token BIGINT, writer TEXT)"
)
_SESSION = Session(botocore_session=botocore.session.get_session())


@dataclass(frozen=True)
class Place:
    """Where everything lies.

    Attributes:
        endpoint: URL of the AWS endpoint.
        table: the lock table.
        data: the table of the data.
        bucket: of the manifests.
        postgres: URL of the database; None where there is no PostgreSQL.
    """

    endpoint: str
    table: str
    data: str
    bucket: str
    postgres: str | None

    @classmethod
    def prepare(cls, endpoint: str, postgres: str | None) -> Place:
        """Tables and a bucket of this run's own."""
        own = uuid.uuid4().hex[:12]
        place = cls(endpoint, f"chaos-{own}-locks", f"chaos-{own}-data", f"chaos-{own}", postgres)
        dynamodb = place.client("dynamodb")
        dynamodb.create_table(**table_definition(place.table))
        dynamodb.create_table(
            TableName=place.data,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for name in (place.table, place.data):
            dynamodb.get_waiter("table_exists").wait(TableName=name)
        place.client("s3").create_bucket(
            Bucket=place.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        if postgres:
            with psycopg.connect(postgres) as connection:
                connection.execute(CREATE_TABLE)
                connection.execute(_CREATE_LOG)
        return place

    def remove(self) -> None:
        """Whatever `prepare` and the run made."""
        dynamodb, s3 = self.client("dynamodb"), self.client("s3")
        for name in (self.table, self.data):
            dynamodb.delete_table(TableName=name)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for found in page.get("Contents", ()):
                s3.delete_object(Bucket=self.bucket, Key=found["Key"])
        s3.delete_bucket(Bucket=self.bucket)

    def client(self, service: Any, attempts: int = 3) -> Any:
        """A new boto3 client."""
        config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=5, read_timeout=20
        )
        return _SESSION.client(service, endpoint_url=self.endpoint, region_name=REGION, config=config)

    @property
    def resources(self) -> tuple[str, ...]:
        """The names of the fenced resources."""
        return ("transaction", "item", "s3", *(("postgres",) if self.postgres else ()))

    def postgres_order(self) -> dict[str, list[int]]:
        """The tokens of every resource in the order in which PostgreSQL took the rows."""
        order: dict[str, list[int]] = {}
        if self.postgres:
            with psycopg.connect(self.postgres) as connection:
                for resource, token in connection.execute("SELECT resource, token FROM writes ORDER BY seq"):
                    order.setdefault(resource, []).append(token)
        return order


class Clients:
    """The AWS clients of one process. Made before its fork, which is faster, and never used before it."""

    def __init__(self, place: Place) -> None:
        # Half of the processes leave repeating to the SDK, the others see every failure themselves.
        self.lock = (place.client("dynamodb"), place.client("dynamodb", attempts=1))
        self.data = place.client("dynamodb")
        self.s3 = place.client("s3")


class Resources:
    """The fenced resources, as one process writes to them through the helpers of `lock.fence`."""

    def __init__(self, place: Place, clients: Clients) -> None:
        self._place = place
        self._dynamodb = clients.data
        self._bucket = clients.s3
        self._database = psycopg.connect(place.postgres) if place.postgres else None

    def write(self, resource: str, key: str, *, token: int, grant: str, writer: str) -> bool:
        """Whether the resource took it; anything else than yes or no is raised."""
        try:
            getattr(self, f"_{resource}")(key, token, grant, writer)
        except FencedError:
            return False
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        except self._dynamodb.exceptions.TransactionCanceledException as error:
            if error.response["CancellationReasons"][0]["Code"] != "ConditionalCheckFailed":
                raise
            return False
        return True

    def _transaction(self, key: str, token: int, grant: str, writer: str) -> None:
        update: Mapping[str, Any] = {
            "TableName": self._place.data,
            "Key": {"id": {"S": f"{key}/transaction"}},
            "UpdateExpression": "SET last_token = :token, writer = :writer ADD writes :one",
            "ExpressionAttributeValues": {
                ":token": {"N": str(token)},
                ":writer": {"S": writer},
                ":one": {"N": "1"},
            },
        }
        check = lock_check(self._place.table, key, grant=grant, token=token)
        self._dynamodb.transact_write_items(TransactItems=[check, {"Update": update}])

    def _item(self, key: str, token: int, _grant: str, writer: str) -> None:
        item = {"id": {"S": f"{key}/item"}, "fence_token": {"N": str(token)}, "writer": {"S": writer}}
        self._dynamodb.put_item(TableName=self._place.data, Item=item, **token_condition(token))

    def _s3(self, key: str, token: int, _grant: str, writer: str) -> None:
        publish_manifest(
            self._bucket, self._place.bucket, f"{key}/manifest.json", token=token, content={"writer": writer}
        )

    def _postgres(self, key: str, token: int, _grant: str, writer: str) -> None:
        if self._database is None:
            raise LookupError("there is no PostgreSQL in this run")
        with self._database.transaction(), self._database.cursor() as cursor:
            establish(cursor, key, token)
            cursor.execute(
                "INSERT INTO writes (resource, token, writer) VALUES (%s, %s, %s)", (key, token, writer)
            )
