"""schedule-generate as a process: inputs of every kind, wrong ones, and being stopped and killed."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psplib
import pytest
from lxml import etree

from tasks.contract import exit_codes, variables
from tasks.jobs.generation.schedule.checkpoint import NAME
from tasks.jobs.generation.schedule.plan import placed
from tasks.jobs.generation.schedule.reading import digest, read_project
from tasks.jobs.generation.schedule.verify import Placed, verify
from tests.support.projects import SM, compiled

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "examples" / "schedule" / "house.json"


class Work:
    """One project folder, with what a container has: a checkpoint and an output directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.checkpoint = folder / "checkpoint"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *options: str, **more: str) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            variables.OUTPUT_DIR: str(self.output),
            variables.CHECKPOINT_DIR: str(self.checkpoint),
            "PYTHONUNBUFFERED": "1",
            **more,
        }
        return subprocess.Popen(
            [sys.executable, "-m", MODULE, *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *options: str, **more: str) -> tuple[int, str]:
        process = self.start(*options, **more)
        text, _ = process.communicate(timeout=100)
        return process.returncode, text

    def result(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads((self.output / "schedule.json").read_text())
        return members

    def saved(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads((self.checkpoint / NAME).read_text())
        return members


MODULE = "tasks.jobs.generation.schedule.schedule_generate"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def hard_project(seed: int = 3, size: int = 90) -> str:
    """Like the hard ones of PSPLIB: wide, with four scarce resources; never proved in a test's time."""
    chance = random.Random(seed)
    activities = [
        {
            "id": str(number),
            "duration": chance.randint(1, 10),
            "needs": {f"r{k}": chance.randint(1, 10) for k in range(4)},
            "after": [str(k) for k in chance.sample(range(max(0, number - 30), number), min(number, 2))],
        }
        for number in range(size)
    ]
    return json.dumps(
        {
            "start": "2026-04-01",
            "calendars": {"default": {"days_off": ["sunday"]}},
            "resources": [{"id": f"r{k}", "units": 14} for k in range(4)],
            "activities": activities,
        },
        indent=1,
    )


def until(condition: Callable[[], object], patience: float = 30) -> None:
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def check_published(work: Work, location: Path) -> None:
    project = read_project(str(location))
    found = {
        row["id"]: Placed(_day(row["start"]), _day(row["finish"]) or project.start)
        for row in work.result()["activities"]
    }
    assert verify(project, found) == []


def _day(text: str | None) -> Any:
    return date.fromisoformat(text) if text else None


def test_a_house_is_planned_proved_and_drawn(work: Work) -> None:
    code, text = work.run(NIGHTLATCH_PARAMS=json.dumps({"project": str(HOUSE), "seconds": "60"}))

    assert code == 0, text
    result = work.result()
    assert (result["status"], result["ended_by"], result["gap"]) == ("optimal", "proof", 0)
    assert result["days"] <= result["greedy_days"]
    check_published(work, HOUSE)
    with (work.output / "schedule.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["id"] for row in csv.DictReader(file)} == {row["id"] for row in result["activities"]}
    picture = etree.parse(work.output / "schedule.svg").getroot()
    page = (work.output / "schedule.html").read_text()
    for name in ("根切り", "立上り打設", "クレーン車"):
        assert name in "".join(picture.itertext())
        assert name in page
    assert "src=" not in page
    progress = [json.loads(line) for line in text.splitlines() if line.startswith('{"nightlatch"')]
    assert progress[-1]["phase"] == "search"


def test_what_people_write_cannot_break_out_of_chart_or_table(work: Work) -> None:
    name = "</text><script>alert(1)</script>\x07&\"'"
    activity = {"id": "=1+1", "name": name, "duration": 1}
    members = {"start": "2026-04-01", "name": name, "activities": [activity]}
    location = work.write("p.json", json.dumps(members))

    code, text = work.run("--project", str(location))

    assert code == 0, text
    etree.parse(work.output / "schedule.svg")
    assert "<script" not in (work.output / "schedule.html").read_text()
    assert "\n'=1+1" in (work.output / "schedule.csv").read_text(encoding="utf-8-sig")


def test_tables_say_the_same_as_json(work: Work) -> None:
    table = work.write(
        "activities.csv",
        "id,name,duration,after,needs,deadline\n"
        "a,基礎,3,,crew:2,\n"
        "b,柱,2,a+1;,crew,2026-06-30\n"
        "c,養生,0,a FS+7d;b SS-1,,\n",
    )
    work.write("resources.csv", "id,name,units\ncrew,大工,2\n")
    work.write(
        "calendar.csv", "date,kind,reason\n2026-05-01,closed,休業\n2026-05-03,open,\n2026-05-02,rain,\n"
    )
    members = {
        "start": "2026-04-27",
        "calendars": {
            "default": {
                "closed": [{"from": "2026-05-01", "to": "2026-05-01", "reason": "休業"}],
                "open": ["2026-05-03"],
            }
        },
        "rain": {"days": ["2026-05-02"]},
        "resources": [{"id": "crew", "name": "大工", "units": 2}],
        "activities": [
            {"id": "a", "name": "基礎", "duration": 3, "needs": {"crew": 2}},
            {
                "id": "b", "name": "柱", "duration": 2, "needs": {"crew": 1}, "deadline": "2026-06-30",
                "after": [{"activity": "a", "lag": 1}],
            },
            {
                "id": "c", "name": "養生", "duration": 0,
                "after": [
                    {"activity": "a", "lag": 7, "unit": "calendar"},
                    {"activity": "b", "kind": "SS", "lag": -1},
                ],
            },
        ],
    }  # fmt: skip
    same = work.write("same.json", json.dumps(members))

    assert digest(read_project(str(table), date(2026, 4, 27))) == digest(read_project(str(same)))
    code, text = work.run("--project", str(table), "--start", "2026-04-27")
    assert code == 0, text
    check_published(work, same)


def test_psplib_files_are_read_as_its_own_reader_does(work: Work) -> None:
    location = work.write("small.sm", SM)
    theirs = psplib.parse(location, instance_format="psplib")

    ours = read_project(str(location))

    assert [a.duration for a in ours.activities] == [a.modes[0].duration for a in theirs.activities]
    needs = [[a.needs.get("R1", 0), a.needs.get("R2", 0)] for a in ours.activities]
    assert needs == [a.modes[0].demands for a in theirs.activities]
    after = [[int(link.activity) - 1 for link in a.after] for a in ours.activities]
    for number, activity in enumerate(theirs.activities):
        assert all(number in after[successor] for successor in activity.successors)
    assert work.run("--project", str(location))[0] == 0
    assert work.result()["days"] == 9  # 3 + 2 units of R1 are more than 4: one after the other


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("p.json", '{"start": "2026-04-01",\n "activities": [', "p.json:2: not JSON"),
        (
            "p.json",
            '{"start": "2026-04-01", "activities": [{"id": "a", "duration": 1, "after": ["a"]}]}',
            "activity a waits for itself",
        ),
    ],
)
def test_wrong_input_ends_with_64_the_line_and_the_reason(
    work: Work, name: str, text: str, reason: str
) -> None:
    code, said = work.run("--project", str(work.write(name, text)))

    assert code == exit_codes.WRONG_INPUT, said
    assert reason in said
    assert "Traceback" not in said
    assert not work.output.exists()


def test_deadlines_that_cannot_be_kept_end_with_64_and_publish_nothing(work: Work) -> None:
    activities = [
        {"id": name, "duration": 3, "needs": {"crew": 1}, "deadline": "2026-04-03"} for name in ("x", "y")
    ]
    members = {"start": "2026-04-01", "resources": [{"id": "crew", "units": 1}], "activities": activities}
    location = work.write("p.json", json.dumps(members))

    code, said = work.run("--project", str(location), "--seconds", "60")

    assert code == exit_codes.WRONG_INPUT
    assert "cannot all be kept (proved)" in said
    assert "instead of 2026-04-03" in said
    assert not work.output.exists()


def test_no_project_and_bytes_that_are_no_text_are_said_so(work: Work) -> None:
    path = work.folder / "p.json"
    path.write_bytes(b'{"start":\n"\xff"}')

    assert "which project?" in work.run()[1]
    assert "p.json:2: not UTF-8" in work.run("--project", str(path))[1]
    assert "No such file" in work.run("--project", str(work.folder / "none.json"))[1]


def test_sigterm_publishes_the_best_so_far_at_any_moment(work: Work) -> None:
    location = work.write("p.json", hard_project())
    chance = random.Random(5)
    seen: list[int] = []
    for _ in range(4):
        process = work.start("--project", str(location), "--seconds", "100")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 1.5))
        process.send_signal(signal.SIGTERM)
        text, _ = process.communicate(timeout=30)
        assert process.returncode == exit_codes.DONE, text
        assert work.result()["ended_by"] == "signal"
        assert work.result()["days"] == work.saved()["days"]
        check_published(work, location)
        seen.append(work.result()["days"])

    assert seen == sorted(seen, reverse=True)
    assert seen[0] <= work.result()["greedy_days"]


def test_sigkill_loses_nothing_that_was_checkpointed(work: Work) -> None:
    location = work.write("p.json", hard_project(4))
    table, builder = compiled(read_project(str(location)))
    chance = random.Random(6)
    best: tuple[int, int] | None = None
    for _ in range(4):
        process = work.start("--project", str(location), "--seconds", "100")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 1.5))
        process.kill()
        process.wait()
        assert process.stdout.read() is not None
        process.stdout.close()
        starts = [work.saved()["starts"][activity.id] for activity in table.project.activities]
        assert verify(table.project, placed(table, starts)) == []
        assert best is None or builder.value(starts) <= best
        best = builder.value(starts)
        assert not work.output.exists()

    code, text = work.run("--project", str(location), "--seconds", "1")
    assert code == 0, text
    assert "going on from" in text
    assert best is not None
    assert work.result()["days"] <= best[1]


def test_the_next_run_begins_with_what_the_last_one_published(work: Work, tmp_path: Path) -> None:
    location = work.write("p.json", hard_project(5))
    assert work.run("--project", str(location), "--seconds", "3")[0] == 0
    before = work.result()["days"]
    again = Work(tmp_path / "again")
    again.folder.mkdir()

    previous = {variables.PREVIOUS_DIR: str(work.output / "state")}
    code, text = again.run("--project", str(location), "--seconds", "1", **previous)

    assert code == 0, text
    assert again.result()["days"] <= before


def test_a_changed_project_does_not_go_on_from_the_old_schedule(work: Work) -> None:
    assert work.run("--project", str(work.write("p.json", hard_project(6))), "--seconds", "1")[0] == 0

    changed = work.write("p.json", hard_project(7))
    code, text = work.run("--project", str(changed), "--seconds", "1")

    assert code == 0, text
    assert "not used: the project has changed" in text
    check_published(work, changed)
