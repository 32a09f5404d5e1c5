"""One installation per test process, with every job that the acceptance tests watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 1 / 60  # timeouts are declared in minutes
HANG_ENDS = 15 * SECONDS  # a container must have got to work by then, on a busy machine too


def declare(house: Installation) -> None:
    """Every job has a lock of its own, so that tests can share the installation."""
    schedule = {"cron": "cron(0 6 * * ? *)", "timezone": "Asia/Tokyo", "alert_after_minutes": 1}
    house.add_job("two-steps", {"name": "generate"}, {"name": "check"}, schedule=schedule)
    house.add_job("delivered-twice", {"worker": ["--gate", house.gate("delivered-twice")]}, schedule=schedule)
    for policy in ("skip", "fail", "replace"):
        name = f"busy-{policy}"
        house.add_job(
            name,
            {"worker": ["--gate", house.gate(name)]},
            lock={"key": name, "on_conflict": policy},
            schedule=schedule,
        )
    house.add_job(
        "busy-wait",
        {"worker": ["--gate", house.gate("busy-wait")]},
        lock={"key": "busy-wait", "on_conflict": "wait", "max_wait_minutes": 2, "max_waiters": 2},
        schedule=schedule,
    )
    house.add_job("stampede", {"worker": ["--gate", house.gate("stampede")]})
    house.add_job("exits-1", {"worker": ["--exit", "1"]})
    house.add_job("exits-64", {"worker": ["--exit", "64"]})
    house.add_job("exits-75-once", {"worker": ["--exit-once", "75"], "retry": {"exit_75": 2}})
    house.add_job("out-of-memory", {"command": _eats_memory(), "memory": 512, "cpu": 256})
    house.add_job("no-image", {"retry": {"start": 0}}, image="registry.example/not-there:1")
    house.add_job("hangs", {"worker": ["--hang"], "timeout_minutes": HANG_ENDS})
    house.add_job(
        "ignores-term",
        {"worker": ["--hang", "--ignore-term", "--grandchild"], "timeout_minutes": HANG_ENDS},
    )
    house.add_job("step-two-fails", {"name": "good"}, {"name": "bad", "worker": ["--exit", "3"]})
    house.add_job("stopped", {"worker": ["--hang"]})
    house.add_job("killed-from-outside", {"worker": ["--gate", house.gate("killed-from-outside")]})
    house.add_job("dies-provisioning", {"worker": []})
    house.add_job("absent", {"worker": ["--exit", "1"]}, schedule=schedule)
    house.add_job("orphaned", {"worker": ["--gate", house.gate("orphaned")]})


def _eats_memory() -> list[str]:
    """Takes a gibibyte where half of one is allowed, and touches it."""
    return ["--", "python", "-c", "import time; held = bytearray(2**30); time.sleep(600)"]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    built = Installation(tmp_path_factory.mktemp("installation"))
    declare(built)
    built.up()
    yield built
    built.down()
