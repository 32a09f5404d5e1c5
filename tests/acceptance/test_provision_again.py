"""`nightlatch local up` again: what is right is left alone, what changed is changed, what vanished goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

SCHEDULE = {"cron": "cron(0 6 * * ? *)", "timezone": "Asia/Tokyo", "alert_after_minutes": 60}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    built = Installation(tmp_path)
    built.add_job("stays", schedule=SCHEDULE)
    built.add_job("goes", schedule=SCHEDULE)
    built.up()
    yield built
    built.down()


def _up_again(house: Installation) -> str:
    house.write_jobs()
    return house.cli("local", "up", "--detach", "--verbose").stderr


def test_a_jobs_file_is_brought_onto_a_running_local_aws(house: Installation) -> None:
    assert "nothing to change" in _up_again(house)

    house.cli("run", "stays", "--wait")
    house.jobs["stays"]["steps"][0]["timeout_minutes"] = 2
    del house.jobs["goes"]
    said = _up_again(house)

    assert "updated state machine nightlatch-local-stays" in said
    for gone in ("schedule goes", "schedule goes-watchdog", "state machine nightlatch-local-goes"):
        assert f"removed {gone}" in said
    assert "task definition nightlatch-local-stays-work" not in said
    assert "nothing to change" in _up_again(house)
    # What ran before is still known, and the changed job runs.
    house.cli("run", "stays", "--wait")
    history = house.cli_json("history", "stays")
    assert len([it for it in house.events("stays") if it["event"] == "start"]) == 2
    assert history


def test_a_mistake_in_the_file_changes_nothing(house: Installation) -> None:
    house.jobs["stays"]["steps"][0]["timeout_minutes"] = -1
    del house.jobs["goes"]
    house.write_jobs()

    said = house.cli("local", "up", "--detach", expect=6).stderr

    assert "JOBS-013" in said
    schedules = house.client("scheduler").list_schedules(GroupName="nightlatch-local")["Schedules"]
    assert {"stays", "goes"} <= {it["Name"] for it in schedules}
