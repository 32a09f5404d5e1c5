"""Measures one lock through its adapter: `python -m bench.lock_peers.driver NAME TABLE WHAT`.

The last line that it prints is the result, as JSON.

It runs in the environment of that lock. All requests are seen at the lowest point of botocore, so that those
of clients which a peer makes for itself are seen, too.
"""

from __future__ import annotations

import json
import logging
import random
import statistics
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import botocore.httpsession
from botocore import xform_name
from botocore.exceptions import ConnectionClosedError

from bench.lock_peers.adapters import ADAPTERS, Adapter
from bench.report import median_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

READS = frozenset({"GetItem", "Query", "BatchGetItem", "Scan", "DescribeTable"})
WARM_UP = 5


class Wire:
    """Counts the requests of this process, and loses the reply of the next write when told to."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.lose_reply = False
        self.delay_seconds = 0.0
        self.bodies: list[tuple[str, dict[str, Any]]] | None = None
        send = botocore.httpsession.URLLib3Session.send

        def carry(session: Any, request: Any) -> Any:
            target = request.headers.get("X-Amz-Target", b"")
            operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
            self.sent.append(operation)
            if self.bodies is not None:
                self.bodies.append((operation, json.loads(request.body)))
            time.sleep(self.delay_seconds)
            reply = send(session, request)
            if self.lose_reply and operation not in READS:
                self.lose_reply = False
                raise ConnectionClosedError(endpoint_url=request.url)
            return reply

        botocore.httpsession.URLLib3Session.send = carry  # type: ignore[method-assign]

    def during(self, action: Callable[[], Any]) -> list[str]:
        """The requests of one action, in order."""
        self.sent.clear()
        action()
        return list(self.sent)


class Bench:
    """One lock and its table."""

    def __init__(self, name: str, table: str) -> None:
        self.kind = ADAPTERS[name]
        self.table = table
        self.wire = Wire()
        self.dynamodb = boto3.client("dynamodb")

    def prepare(self) -> dict[str, Any]:
        """Make its table."""
        roles = ("HASH", "RANGE")
        schema = self.kind.key_schema
        self.dynamodb.create_table(
            TableName=self.table,
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in schema],
            KeySchema=[
                {"AttributeName": n, "KeyType": role} for (n, _), role in zip(schema, roles, strict=False)
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        return {}

    def holder(self, lease_seconds: int = 60, key: str | None = None) -> Adapter:
        """Somebody new, for a new lock unless it is named."""
        return self.kind(self.table, key or f"lock-{uuid.uuid4().hex[:8]}", lease_seconds)

    def requests(self) -> dict[str, Any]:
        """The requests of every operation; null where there is no such operation."""
        holder = self.holder()
        other = self.holder(key=holder.key)
        counted: dict[str, Any] = {"acquire": self.wire.during(lambda: must(holder.acquire()))}
        counted["held_bytes"] = self.item_bytes()
        counted["contended_try"] = self.wire.during(lambda: must(not other.acquire()))
        counted["renew"] = self.wire.during(holder.renew) if holder.renews else None
        counted["release"] = self.wire.during(holder.release)
        return counted

    def take_over(self) -> dict[str, Any]:
        """The requests of getting a lock whose holder died long ago, and how long that took."""
        dead = self.holder(lease_seconds=1)
        must(dead.acquire())
        time.sleep(3.5)
        taker = self.holder(lease_seconds=1, key=dead.key)
        began = time.monotonic()
        sent = self.wire.during(taker.wait)
        return {"requests": sent, "seconds": time.monotonic() - began}

    def item_bytes(self) -> int:
        """Size of the only item, as DynamoDB counts it for capacity."""
        (item,) = self.dynamodb.scan(TableName=self.table, ConsistentRead=True)["Items"]
        return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())

    def pairs(self, count: int, delay_milliseconds: int = 0) -> dict[str, Any]:
        """Milliseconds of acquire and release, of two raw conditional UpdateItems, and of the same again.

        The same again: the very bodies that the lock has sent, from a plain client. What is left then is what
        the lock itself takes; the rest is what SDK and endpoint take for longer expressions and answers.
        Ratios are medians over the turns, so that a drifting machine cancels out.
        """
        self.wire.delay_seconds = delay_milliseconds / 1000
        holder, raw = self.holder(), Raw(self.dynamodb, self.table, self.kind.key_schema)
        bodies: list[tuple[str, dict[str, Any]]] = []
        self.wire.bodies = bodies
        pair(holder)
        self.wire.bodies = None

        def same_again() -> None:
            for operation, body in bodies:
                getattr(self.dynamodb, xform_name(operation))(**body)

        actions = {"p50": lambda: pair(holder), "raw_p50": raw.pair, "same_p50": same_again}
        times: dict[str, list[float]] = {name: [] for name in actions}
        for _ in range(count + WARM_UP):
            for name in sorted(actions, key=lambda _: random.random()):
                began = time.perf_counter()
                actions[name]()
                times[name].append((time.perf_counter() - began) * 1000)
        ours, raws, sames = (times[name][WARM_UP:] for name in actions)
        return {
            **{name: statistics.median(taken[WARM_UP:]) for name, taken in times.items()},
            "ratio_to_raw": median_ratio(ours, raws),
            "ratio_to_same": median_ratio(ours, sames),
            "same_ratio_to_raw": median_ratio(sames, raws),
        }

    def lost_replies(self) -> dict[str, Any]:
        """What each operation says when the reply of its write was lost: null is, it went well."""
        answers = {}
        for operation in ("acquire", "renew", "release"):
            holder = self.holder()
            if operation == "renew" and not holder.renews:
                continue
            if operation != "acquire":
                must(holder.acquire())
            self.wire.lose_reply = True
            answers[operation] = told(lambda h=holder, o=operation: getattr(h, o)())
            self.wire.lose_reply = False
        return answers

    def hold(self, key: str) -> dict[str, Any]:
        """Take the lock for two seconds and say so; whoever started this will kill it."""
        must(self.holder(lease_seconds=2, key=key).acquire())
        say({"held": time.monotonic()})
        sys.stdin.read()
        return {}

    def wait(self, key: str) -> dict[str, Any]:
        """Wait for the lock of another process."""
        waiter = self.holder(lease_seconds=2, key=key)
        sys.stdin.readline()
        must(not waiter.acquire())
        say({"waiting": time.monotonic()})
        waiter.wait()
        return {"granted": time.monotonic()}


def pair(holder: Adapter) -> None:
    """Take and give back."""
    holder.acquire()
    holder.release()


class Raw:
    """The least that two conditional writes cost: take, and give back."""

    def __init__(self, client: Any, table: str, schema: tuple[tuple[str, str], ...]) -> None:
        self._client = client
        values = {"S": "raw", "N": "7"}
        self._request = {"TableName": table, "Key": {name: {kind: values[kind]} for name, kind in schema}}

    def pair(self) -> None:
        """Take and give back."""
        self._client.update_item(
            **self._request,
            UpdateExpression="SET #h = :me",
            ConditionExpression="attribute_not_exists(#h)",
            ExpressionAttributeNames={"#h": "held_by"},
            ExpressionAttributeValues={":me": {"S": "me"}},
        )
        self._client.update_item(
            **self._request,
            UpdateExpression="REMOVE #h",
            ConditionExpression="#h = :me",
            ExpressionAttributeNames={"#h": "held_by"},
            ExpressionAttributeValues={":me": {"S": "me"}},
        )


class Complaints(logging.Handler):
    """What a peer only logs is an answer, too."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first line."""
        self.texts.append(record.getMessage().splitlines()[0])


def told(action: Callable[[], Any]) -> str | None:
    """What went wrong, in the words of the one that did it; None if nothing did."""
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    try:
        answer = action()
    except Exception as error:  # noqa: BLE001 -- every peer raises its own
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    finally:
        logging.getLogger().removeHandler(complaints)
    if answer is False:
        return "says that it is not acquired"
    if isinstance(answer, str) and answer != "Released":
        return answer
    return complaints.texts[0] if complaints.texts else None


def value_bytes(value: dict[str, Any]) -> int:
    """Bytes of a value, as they count for capacity.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return (len(content.lstrip("-").strip("0")) + 1) // 2 + 1
        case "M":
            return 3 + sum(1 + len(name.encode()) + value_bytes(v) for name, v in content.items())
        case "L":
            return 3 + sum(1 + value_bytes(v) for v in content)
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "BOOL" | "NULL":
            return 1
        case _:
            return len(content.encode() if isinstance(content, str) else content)


def must(well: object) -> None:
    if not well:
        raise RuntimeError("the lock answered otherwise than it must without any fault")


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main(name: str, table: str, what: str, *arguments: str) -> None:
    """Do one thing and say the result."""
    words = [int(word) if word.isdigit() else word for word in arguments]
    say(getattr(Bench(name, table), what)(*words))


if __name__ == "__main__":
    logging.getLogger("backoff").setLevel(logging.CRITICAL)
    main(*sys.argv[1:])
