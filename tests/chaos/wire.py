"""The wire between a process and the lock table: it loses requests and replies, and writes down every one."""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConnectionClosedError

from lock import LockTable, SkewGauge, SystemClock
from lock.dynamodb import DynamoDBStore
from lock.model import LockItem
from lock.requests import update_request
from tests.chaos.history import encode_event

if TYPE_CHECKING:
    import random

    from botocore.awsrequest import AWSPreparedRequest
    from types_boto3_dynamodb import DynamoDBClient

    from lock.events import Event
    from lock.expressions import Expression
    from lock.rules import Reply
    from tests.chaos.history import History
    from tests.chaos.mutants import Mutant

MAX_SKEW_MS = 200
"""All processes share one clock, so little has to be allowed for."""

_REFUSED = "ConditionalCheckFailedException"
_REPLY_LOST, _REQUEST_LOST = "reply lost", "request lost"


class Wire:
    """Hooks of one client. Each HTTP request of a lock operation is one call of the history.

    A call is noted as `sent` before it leaves, and as `answered` when its reply is there. A call without
    an answer, because its reply was lost or its process was killed, may have happened or not.

    Args:
        client: of DynamoDB.
        history: of this process.
        dice: decides what is lost.
        lose_reply: how often, of 1.
        lose_request: how often, of 1.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        history: History,
        dice: random.Random,
        *,
        lose_reply: float,
        lose_request: float,
    ) -> None:
        self._client = client
        self._history = history
        self._dice = dice
        self._lose_reply = lose_reply
        self._lose_request = lose_request
        self._count = itertools.count()
        self._here = threading.local()
        for operation in ("UpdateItem", "GetItem"):
            client.meta.events.register_first(f"before-send.dynamodb.{operation}", self._send)
            client.meta.events.register_first(f"needs-retry.dynamodb.{operation}", self._answer)

    def carries(self, key: str, event: Event | None) -> None:
        """What the next requests of this thread are for; None is a read."""
        self._here.purpose = {"key": key, "event": None if event is None else encode_event(event)}

    def _send(self, request: AWSPreparedRequest, **_: Any) -> None:
        luck = self._dice.random()
        self._here.call = None
        if luck < self._lose_request:
            self._history.note("lost", fault=_REQUEST_LOST, **self._here.purpose)
            raise ConnectionClosedError(endpoint_url=request.url)
        self._here.call = f"{os.getpid()}.{next(self._count)}"
        self._history.note("sent", call=self._here.call, **self._here.purpose)
        if luck < self._lose_request + self._lose_reply:
            self._client._endpoint.http_session.send(request)  # type: ignore[attr-defined]
            self._history.note("lost", call=self._here.call, fault=_REPLY_LOST)
            raise ConnectionClosedError(endpoint_url=request.url)

    def _answer(self, response: Any = None, caught_exception: Exception | None = None, **_: Any) -> None:
        call = self._here.call
        if call is None:
            return
        if response is None:
            self._history.note("unanswered", call=call, error=type(caught_exception).__name__)
            return
        parsed = response[1]
        code = parsed.get("Error", {}).get("Code")
        if code not in {None, _REFUSED}:
            self._history.note("unanswered", call=call, error=code)
            return
        item = parsed.get("Attributes") or parsed.get("Item")
        self._history.note("answered", call=call, accepted=code is None, item=item)


class RecordedStore(DynamoDBStore):
    """The product's store; a mutant of the lock replaces the expression of one operation."""

    def __init__(self, wire: Wire, mutant: Mutant | None, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._wire = wire
        self._mutant = mutant

    def write(self, key: str, event: Event) -> Reply:
        self._wire.carries(key, event)
        broken = self._mutant.expression(event) if self._mutant else None
        if broken is not None:
            return self._write_broken(key, event, broken)
        return super().write(key, event)

    def read(self, key: str) -> LockItem | None:
        self._wire.carries(key, None)
        return super().read(key)

    def _write_broken(self, key: str, event: Event, broken: Expression) -> Reply:
        from lock.rules import Reply  # noqa: PLC0415 -- a type for everybody else

        request = update_request(self.table, key, event)
        values = request["ExpressionAttributeValues"]
        request |= {
            "UpdateExpression": broken.update,
            "ConditionExpression": broken.condition,
            "ExpressionAttributeNames": dict(broken.names),
            "ExpressionAttributeValues": {name: values[name] for name in sorted(broken.values)},
        }
        try:
            reply = self._call("UpdateItem", self._client.update_item, request)
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            item: Any = refusal.response.get("Item")
            return Reply(LockItem.decode(item) if item else None, accepted=False)
        return Reply(LockItem.decode(reply["Attributes"]), accepted=True)


def recorded_table(client: DynamoDBClient, name: str, wire: Wire, mutant: Mutant | None) -> LockTable:
    """The product's lock table over that wire."""
    clock, gauge = SystemClock(), SkewGauge(MAX_SKEW_MS)
    store = RecordedStore(wire, mutant, client, name, clock=clock, gauge=gauge)
    return LockTable(store, clock=clock, gauge=gauge)
