"""What a lock costs: bytes, requests, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from lock import Acquired, Held, LockTable, Released
from lock.expressions import EXPRESSIONS
from lock.model import Kind, LockItem
from tests.support.lock_tables import TABLE, Wire, in_process_client

# The longest names that the installation makes: environment, job and step of usual length, real id formats.
ACCOUNT = "123456789012"
JOB = "nightly-article-regeneration"
RUN = f"{JOB}-0f8e2a6c-9a51-4a9e-8f0e-6f3f4f6f7a8b"
OWNER = f"arn:aws:states:ap-northeast-1:{ACCOUNT}:execution:nightlatch-prod-{JOB}:{RUN}"
TASK = f"arn:aws:ecs:ap-northeast-1:{ACCOUNT}:task/nightlatch-prod/0123456789abcdef0123456789abcdef"
ONE_WRITE_UNIT = 1024


def size(value: dict[str, Any]) -> int:
    """Bytes of an attribute value.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    ((tag, content),) = value.items()
    if tag == "S":
        return len(content.encode())
    if tag == "N":
        return len(content.strip("-0")) // 2 + 2
    if tag == "SS":
        return sum(len(text.encode()) for text in content)
    if tag == "L":
        return 3 + sum(1 + size(entry) for entry in content)
    return 3 + sum(len(name) + 1 + size(entry) for name, entry in content.items())


def item_size(item: LockItem) -> int:
    return sum(len(name) + size(value) for name, value in item.encode().items())


@pytest.fixture
def wire_and_table() -> Iterator[tuple[Wire, LockTable]]:
    with mock_aws():
        client = in_process_client()
        yield Wire(client), LockTable.connect(TABLE, client=client)


def test_a_held_item_fits_one_write_unit_and_so_does_a_take_over(
    wire_and_table: tuple[Wire, LockTable],
) -> None:
    _, table = wire_and_table

    def holder(day: int) -> Any:
        return table.new_holder(
            owner=OWNER,
            job=JOB,
            lease_ms=14_400_000,
            kind=Kind.SFN,
            run_key=f"2026-11-{day:02}T21:00:00Z",
            family=f"nightlatch-prod-{JOB}-generate",
            group=f"nightlatch:{RUN}",
        )

    first = table.acquire("articles", holder(1))
    assert isinstance(first, Acquired)
    table.claim("articles", owner=OWNER, grant=first.holder.grant, task_arn=TASK)
    assert isinstance(table.release(first.item, task_arn=TASK), Released)
    second = table.acquire("articles", holder(2))
    assert isinstance(second, Acquired)
    claimed = table.claim("articles", owner=OWNER, grant=second.holder.grant, task_arn=TASK)
    assert claimed.item is not None
    assert 600 < item_size(claimed.item) < ONE_WRITE_UNIT


def test_one_request_each_and_no_reads(wire_and_table: tuple[Wire, LockTable]) -> None:
    wire, table = wire_and_table
    wire.sent.clear()

    def holder(name: str) -> Any:
        return table.new_holder(owner=name, job="j", lease_ms=1000)

    mine = table.acquire("k", holder("a"))
    assert isinstance(mine, Acquired)
    assert isinstance(table.acquire("k", holder("b")), Held)
    table.renew("k", mine.holder)
    table.release(mine.item)
    assert wire.sent == ["UpdateItem"] * 4
    seen = table.acquire("k", holder("c"))
    assert isinstance(seen, Acquired)
    wire.sent.clear()
    table.take_over(seen.item, holder("d"))
    assert wire.sent == ["UpdateItem"]


def test_expressions_stay_far_below_the_limits() -> None:
    # 4 KB a text; source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Limits.html
    for name, expression in EXPRESSIONS.items():
        assert len(expression.update) < 1000, name
        assert len(expression.condition) < 1000, name
        used = f"{expression.update} {expression.condition}"
        assert all(placeholder in used for placeholder in expression.names)
