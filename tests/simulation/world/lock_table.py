"""The lock table: the very expressions of the definitions, executed by the lock's own rules.

An expression is recognised by its text, so a definition that holds any other text fails loudly. That the
rules do what DynamoDB does with these expressions is shown elsewhere, by a property test.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lock import events
from lock.expressions import EXPRESSIONS, NO_RUN_KEY, Expression
from lock.model import Holder, LastRun, LockItem, StaleTask
from lock.rules import Reply, apply
from tests.simulation.world.errors import ConditionFailedError, ServiceError

Values = Mapping[str, Any]


def _holder(values: Values, name: str = ":holder") -> Holder:
    found = values[name]["M"] if name == ":holder" else values[name]["L"][0]["M"]
    holder = Holder.decode(found, "")
    assert holder.encode() == dict(found), f"unknown members in {sorted(found)}"
    return holder


def _last(values: Values) -> LastRun:
    last = LastRun.decode(values[":last"]["M"], "")
    assert last.encode() == dict(values[":last"]["M"]), f"unknown members in {sorted(values[':last']['M'])}"
    return last


def _old(values: Values) -> StaleTask | None:
    found = values[":old_task"]["L"]
    return StaleTask.decode(found[0]["M"], "") if found else None


def _n(values: Values, name: str) -> int:
    return int(values[name]["N"])


def _s(values: Values, name: str) -> str:
    return str(values[name]["S"])


def _acquire(v: Values) -> events.Event:
    event = events.Acquire(holder=_holder(v), expires_at=_n(v, ":exp"), now=_n(v, ":now_ms"))
    assert _s(v, ":rk") in {event.run_key, NO_RUN_KEY}
    return event


def _take_over(v: Values) -> events.Event:
    return events.TakeOver(
        holder=_holder(v),
        expires_at=_n(v, ":exp"),
        held_by=_s(v, ":held_by"),
        fence=_n(v, ":fence"),
        lease=_n(v, ":lease"),
        old_task=_old(v),
        head=_s(v, ":head") if ":head" in v else None,
    )


def _re_arm(v: Values) -> events.Event:
    return events.ReArm(
        owner=_s(v, ":owner"),
        grant=_s(v, ":grant"),
        new_grant=_s(v, ":new_grant"),
        family=_s(v, ":family"),
        expires_at=_n(v, ":exp"),
        fence=_n(v, ":fence") if ":fence" in v else None,
        task_arn=_s(v, ":task") if ":task" in v else None,
    )


_EVENTS: Mapping[str, Callable[[Values], events.Event]] = {
    "acquire": _acquire,
    "claim": lambda v: events.Claim(
        owner=_s(v, ":owner"), grant=_s(v, ":grant"), task_arn=_s(v, ":task"), now=_n(v, ":now")
    ),
    "take_over": _take_over,
    "take_over_as_head": _take_over,
    "re_arm": _re_arm,
    "re_arm_after_success": _re_arm,
    "release": lambda v: events.Release(
        owner=_s(v, ":owner"),
        grant=_s(v, ":grant"),
        last=_last(v),
        last_run_key=_s(v, ":lrk"),
        ttl=_n(v, ":ttl"),
        task_arn=_s(v, ":task"),
    ),
    "release_by_fence": lambda v: events.ReleaseByFence(
        held_by=_s(v, ":held_by"),
        fence=_n(v, ":fence"),
        last=_last(v),
        last_run_key=_s(v, ":lrk"),
        ttl=_n(v, ":ttl"),
    ),
    "hand_off": lambda v: events.HandOff(
        held_by=_s(v, ":held_by"),
        fence=_n(v, ":fence"),
        head=_s(v, ":head"),
        expires_at=_n(v, ":exp"),
        last=_last(v),
        last_run_key=_s(v, ":lrk"),
    ),
    "enqueue": lambda v: events.Enqueue(entry=_holder(v, ":entry"), limit=_n(v, ":max")),
    "leave": lambda v: events.Leave(grant=_s(v, ":grant")),
    "drop_head": lambda v: events.DropHead(head=_s(v, ":head")),
}
_OPERATIONS = {
    (found.update, found.condition): (name, found) for name, found in EXPRESSIONS.items() if name in _EVENTS
}
_GIVES_BACK = {"release", "release_by_fence", "hand_off"}


class LockTable:
    """The items, and how they were reached.

    Attributes:
        items: by key.
        writes: how many update requests arrived, refused ones included.
        operations: their names in order.

    Args:
        on_given_back: is told the key of a lock that its holder, or somebody for it, gave back.
    """

    def __init__(self, on_given_back: Callable[[str], None] = lambda _key: None) -> None:
        self._on_given_back = on_given_back
        self.items: dict[str, LockItem] = {}
        self.writes = 0
        self.operations: list[str] = []

    def update(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateItem."""
        name, expression = self._recognise(request)
        values = request["ExpressionAttributeValues"]
        assert set(values) == expression.values, f"{name} brings {sorted(values)}"
        assert dict(request["ExpressionAttributeNames"]) == dict(expression.names)
        self.writes += 1
        key = request["Key"]["lock_key"]["S"]
        reply = self._apply(key, _EVENTS[name](values), values)
        self.operations.append(name if reply.accepted else f"{name} refused")
        if not reply.accepted:
            raise ConditionFailedError
        assert reply.item is not None
        self.items[key] = reply.item
        if name in _GIVES_BACK:
            self._on_given_back(key)
        return {"Attributes": reply.item.encode()} if request.get("ReturnValues") == "ALL_NEW" else {}

    def _apply(self, key: str, event: events.Event, values: Values) -> Reply:
        """By the rules. They compare a holder's own run key; one sent without a bound takes two steps."""
        before = self.items.get(key)
        if not (isinstance(event, events.Acquire) and _s(values, ":rk") != event.run_key):
            return apply(before, event, key=key)
        wanted = event.holder
        reply = apply(before, replace(event, holder=replace(wanted, run_key=None)), key=key)
        item = reply.item
        if item is not None and item.holder is not None and item.holder.grant == wanted.grant:
            item = replace(item, holder=wanted)
        return Reply(item, accepted=reply.accepted)

    @staticmethod
    def _recognise(request: Mapping[str, Any]) -> tuple[str, Expression]:
        texts = (request["UpdateExpression"], request["ConditionExpression"])
        if texts not in _OPERATIONS:
            raise ServiceError("ValidationException", f"not an expression of the lock: {texts}")
        return _OPERATIONS[texts]

    def get(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """GetItem; every read of the definitions must be consistent."""
        assert request["ConsistentRead"] is True
        item = self.items.get(request["Key"]["lock_key"]["S"])
        return {"Item": item.encode()} if item else {}

    def scan(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Scan, with the filters in use."""
        assert request["ConsistentRead"] is True
        values = {name: value["S"] for name, value in request.get("ExpressionAttributeValues", {}).items()}
        keep: dict[str, Callable[[LockItem], bool]] = {
            "#holder.#owner = :owner": lambda i: i.holder is not None and i.holder.owner == values[":owner"],
            "#holder.#job = :job": lambda i: i.holder is not None and i.holder.job == values[":job"],
            "#lock_key = :lock_key AND attribute_exists(#holder)": lambda i: (
                i.holder is not None and i.lock_key == values[":lock_key"]
            ),
            "attribute_exists(#holder)": lambda i: i.holder is not None,
        }
        found = [item.encode() for item in self.items.values() if keep[request["FilterExpression"]](item)]
        names = request["ExpressionAttributeNames"]
        wanted = [path.split(".") for path in request["ProjectionExpression"].split(", ")]
        rows = []
        for item in found:
            row: dict[str, Any] = {}
            for first, *rest in wanted:
                name = names[first]
                if name in item and not rest:
                    row[name] = item[name]
                elif name in item and names[rest[0]] in item[name]["M"]:
                    row.setdefault(name, {"M": {}})["M"][names[rest[0]]] = item[name]["M"][names[rest[0]]]
            rows.append(row)
        return {"Items": rows, "Count": len(rows), "ScannedCount": len(self.items)}
