"""Lock tables for tests: a DynamoDB in this process, and requests and replies that get lost on the way."""

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber
from types_boto3_dynamodb import DynamoDBClient

from lock.table import table_definition

TABLE = "nightlatch-test-locks"
THROTTLED = "ThrottlingException"


def in_process_client(*, attempts: int = 3, create: bool = True) -> DynamoDBClient:
    """A client of moto's DynamoDB; call it inside `mock_aws()`."""
    client = boto3.client(
        "dynamodb",
        region_name="ap-northeast-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}),
    )

    allowed = attempts

    def retry_at_once(
        attempts: int = 0, caught_exception: Exception | None = None, response: Any = None, **_: Any
    ) -> float | None:
        throttled = response is not None and response[1].get("Error", {}).get("Code") == THROTTLED
        return 0.0 if (caught_exception is not None or throttled) and attempts < allowed else None

    # The SDK's own retries, without its waiting between them.
    client.meta.events.register_first("needs-retry.dynamodb", retry_at_once)
    if create:
        client.create_table(**table_definition(TABLE))
    return client


def tell_time(client: DynamoDBClient, now_ms: Callable[[], int]) -> None:
    """Let every reply carry this clock's time in its `Date` header."""

    def stamp(response_dict: dict[str, Any], **_: Any) -> None:
        response_dict["headers"]["date"] = formatdate(now_ms() // 1000, usegmt=True)

    client.meta.events.register("before-parse.dynamodb", stamp)


class Wire:
    """The network between a client and moto: counts requests, and loses what it is told to lose."""

    def __init__(self, client: DynamoDBClient) -> None:
        self.sent: list[str] = []
        self._replies_to_lose = 0
        self._requests_to_lose = 0
        self.late: list[Callable[[], object]] = []
        self._requests_to_delay = 0
        self._requests_to_throttle = 0
        client.meta.events.register_first("before-send.dynamodb", self._carry)

    def lose_replies(self, count: int = 1) -> None:
        """The next requests arrive and are carried out; their replies do not come back."""
        self._replies_to_lose = count

    def lose_requests(self, count: int = 1) -> None:
        """The next requests never arrive."""
        self._requests_to_lose = count

    def delay_requests(self, count: int = 1) -> None:
        """The next requests seem lost, and arrive when `deliver_late` is called."""
        self._requests_to_delay = count

    def throttle(self, count: int = 1) -> None:
        """The next requests are refused because there are too many."""
        self._requests_to_throttle = count

    def settle(self) -> None:
        """Forget all faults that have not happened yet, and what is still under way."""
        self._replies_to_lose = self._requests_to_lose = 0
        self._requests_to_delay = self._requests_to_throttle = 0
        self.late.clear()

    def deliver_late(self) -> None:
        """Whatever was delayed arrives now; nobody hears the replies."""
        late, self.late = self.late, []
        for deliver in late:
            deliver()

    def _carry(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        self.sent.append(request.headers["X-Amz-Target"].decode().rpartition(".")[2])
        if self._requests_to_lose:
            self._requests_to_lose -= 1
            raise ConnectionClosedError(endpoint_url=request.url)
        if self._requests_to_throttle:
            self._requests_to_throttle -= 1
            body = json.dumps({"__type": THROTTLED, "message": "slow down"}).encode()
            headers = {"content-type": "application/x-amz-json-1.0"}
            return AWSResponse(request.url, 400, headers, MockRawResponse(body))
        if self._requests_to_delay:
            self._requests_to_delay -= 1
            self.late.append(lambda: botocore_stubber("before-send", request))
            raise ConnectionClosedError(endpoint_url=request.url)
        if self._replies_to_lose:
            self._replies_to_lose -= 1
            botocore_stubber("before-send", request)
            raise ConnectionClosedError(endpoint_url=request.url)
        return None
