"""Lock items in DynamoDB, through boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from lock.errors import LockError, StoreRefusedError, StoreUnavailableError, TableMissingError
from lock.model import LockItem
from lock.requests import read_request, update_request
from lock.rules import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from types_boto3_dynamodb import DynamoDBClient

    from lock.clock import Clock, SkewGauge
    from lock.events import Event

# Answers after which a write may succeed when repeated, or may have happened.
# Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_UNAVAILABLE: Final = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
_SERVER_ERROR: Final = 500


class DynamoDBStore:
    """One request per operation; what SDK and network do to a request is dealt with by the expressions.

    Args:
        client: a boto3 DynamoDB client, with whatever endpoint, credentials and retries it has.
        table: name of the table; it is never created here.
        clock: to time the requests.
        gauge: learns the difference of clocks from every reply.
    """

    def __init__(self, client: DynamoDBClient, table: str, *, clock: Clock, gauge: SkewGauge) -> None:
        self._client = client
        self._clock = clock
        self._gauge = gauge
        self.table = table

    def write(self, key: str, event: Event) -> Reply:
        """Perform one operation by one UpdateItem. Errors as `lock.store.Store` says."""
        request = update_request(self.table, key, event)
        try:
            reply = self._call("UpdateItem", self._client.update_item, request)
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            item: Any = refusal.response.get("Item")
            # Some emulators do not return the item with a refusal; there was none, or it must be read.
            return Reply(LockItem.decode(item) if item else self.read(key), accepted=False)
        return Reply(LockItem.decode(reply["Attributes"]), accepted=True)

    def read(self, key: str) -> LockItem | None:
        """A consistent GetItem. Errors as `lock.store.Store` says."""
        item = self._call("GetItem", self._client.get_item, read_request(self.table, key)).get("Item")
        return LockItem.decode(item) if item else None

    def scan(self) -> Iterator[LockItem]:
        """All items, by consistent Scan pages. Errors as `lock.store.Store` says."""
        request: dict[str, Any] = {"TableName": self.table, "ConsistentRead": True}
        while True:
            page = self._call("Scan", self._client.scan, request)
            for item in page["Items"]:
                yield LockItem.decode(item)
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _call(self, operation: str, method: Callable[..., Any], request: dict[str, Any]) -> Any:
        sent = self._clock.now_ms()
        try:
            reply = method(**request)
        except ClientError as error:
            self._note_date(error.response, sent)
            if error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
                raise
            raise self._translated(operation, error) from error
        except NoCredentialsError as error:
            raise StoreRefusedError(operation, "NoCredentials", str(error)) from error
        except BotoCoreError as error:
            raise StoreUnavailableError(operation, error) from error
        self._note_date(reply, sent)
        return reply

    def _note_date(self, reply: Any, sent_ms: int) -> None:
        headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self._gauge.observe(headers.get("date"), sent_ms=sent_ms, received_ms=self._clock.now_ms())

    def _translated(self, operation: str, error: ClientError) -> LockError:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "ResourceNotFoundException":
            return TableMissingError(self.table)
        if code in _UNAVAILABLE or status >= _SERVER_ERROR:
            return StoreUnavailableError(operation, error)
        return StoreRefusedError(operation, code, error.response.get("Error", {}).get("Message", ""))
