"""How ``defaults``, a job and its environment become one.

``defaults`` < the job < ``jobs.X.environments.ENV``. Mappings are merged key by key, at every depth; lists
and single values are replaced; ``null`` replaces too, which is how an environment switches a schedule off.
``defaults.step`` goes into every step and ``defaults.schedule`` only into a job that has a schedule.
``terraform/modules/jobs`` does the same; a test compares the two for every environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nightlatch.catalog.document import Path_

Raw = dict[str, Any]


def merged_job(file: Mapping[str, Any], name: str, environment: str) -> Raw:
    """One job of the file as it is in one environment, still as plain values.

    Tolerates a file with mistakes (whatever is not a mapping counts as empty), so that every further check
    can still run.
    """
    defaults = mapping(file.get("defaults"))
    own = mapping(mapping(file.get("jobs")).get(name))
    change = mapping(mapping(own.get("environments")).get(environment))
    job = merge({key: value for key, value in own.items() if key != "environments"}, change)

    job["image"] = job.get("image", defaults.get("image"))
    job["lock"] = merge(mapping(defaults.get("lock")), mapping(job.get("lock")))
    if job.get("schedule") is not None:
        job["schedule"] = merge(mapping(defaults.get("schedule")), mapping(job["schedule"]))
    steps = job.get("steps")
    job["steps"] = [
        merge(mapping(defaults.get("step")), mapping(step))
        for step in (steps if isinstance(steps, list) else [])
    ]
    return job


def origins(name: str, environment: str, path: Path_) -> Iterator[Path_]:
    """The places of the file that may have given a merged value, the strongest first."""
    yield ("jobs", name, "environments", environment, *path)
    yield ("jobs", name, *path)
    if path[:1] == ("steps",):
        yield ("defaults", "step", *path[2:])
    else:
        yield ("defaults", *path)


def merge(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> Raw:
    """``strong`` over ``weak``, mappings key by key."""
    result: Raw = dict(weak)
    for key, value in strong.items():
        before = result.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        result[key] = merge(mapping(before), value) if both else value
    return result


def mapping(value: object) -> Raw:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}
