"""What must hold between the values of a jobs file, after merging, in every environment.

Values of the wrong type were reported by :mod:`nightlatch.catalog.structure`; the rules here pass over them,
so that one mistake is told once and still hides no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from nightlatch.catalog import budget
from nightlatch.catalog.merging import mapping, merged_job, origins
from nightlatch.catalog.model import seconds_of
from nightlatch.catalog.problems import Problem, choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nightlatch.catalog.document import Document, Path_
    from nightlatch.catalog.merging import Raw

FARGATE_MEMORY = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
"""MiB that Fargate offers for each cpu (botocore's ECS model, RegisterTaskDefinition, ``cpu``)."""

RESERVED_JOBS = ("janitor", "watchdog", "janitor-sweep")
"""State machines and schedules of nightlatch's own; ``-watchdog`` at the end is reserved as well."""

# The longest names that AWS takes, and what nightlatch makes of a job's name.
_UUID = "x" * 36  # the Scheduler's execution id, at its longest
_WHOLE_NAMES = (
    (80, "the state machine {prefix}-{job}"),
    (80, "the scheduled run {job}-" + _UUID),
    (80, "the operator's run {job}-20260101T000000Z-abcdef"),
    (64, "the schedule {job}-watchdog"),
)
_LONGEST_FAMILY = 255


def rule_problems(document: Document) -> Iterator[Problem]:
    """Every broken rule of the file, in all its environments."""
    file = mapping(document.root.plain())
    environments = _environments(file)
    yield from _unknown_environments(document, file, environments)
    yield from _family_clashes(document, file)
    for name in mapping(file.get("jobs")):
        yield from _reserved_name(document, name)
        # Where no environment is declared the job is still checked as it stands.
        for environment in environments or [""]:
            yield from _JobRules(document, name, environment, merged_job(file, name, environment)).problems()


def _environments(file: Raw) -> list[str]:
    declared = file.get("environments")
    return [it for it in declared if isinstance(it, str)] if isinstance(declared, list) else []


def _unknown_environments(document: Document, file: Raw, known: list[str]) -> Iterator[Problem]:
    for index, name in enumerate(known):
        if name in known[:index]:
            place = document.mark(("environments", index))
            yield Problem(document.file, *place, "JOBS-016", f"environment {name} stands twice", "remove one")
    for job, own in mapping(file.get("jobs")).items():
        for name in mapping(mapping(own).get("environments")):
            if name not in known:
                place = document.key_mark(("jobs", job, "environments", name))
                message = f"{job}: unknown environment {name}"
                yield Problem(document.file, *place, "JOBS-040", message, choose(name, known))


def _reserved_name(document: Document, name: str) -> Iterator[Problem]:
    if name in RESERVED_JOBS or name.endswith("-watchdog"):
        place = document.key_mark(("jobs", name))
        hint = "choose another; nightlatch's own machines and schedules have this name"
        yield Problem(document.file, *place, "JOBS-016", f"the job name {name} is reserved", hint)


def _family_clashes(document: Document, file: Raw) -> Iterator[Problem]:
    """A step ``b-c`` of job ``a`` and a step ``c`` of job ``a-b`` would be one task family."""
    seen: dict[str, str] = {}
    for job, own in mapping(file.get("jobs")).items():
        steps = mapping(own).get("steps")
        for index, step in enumerate(steps if isinstance(steps, list) else []):
            name = mapping(step).get("name")
            if not isinstance(name, str):
                continue
            other = seen.setdefault(f"{job}-{name}", job)
            if other != job:
                place = document.mark(("jobs", job, "steps", index, "name"))
                message = f"{job}: step {name} would share its task family with a step of {other}"
                yield Problem(document.file, *place, "JOBS-016", message, "rename one of the steps")


class _JobRules:
    """The rules of one job in one environment."""

    def __init__(self, document: Document, name: str, environment: str, job: Raw) -> None:
        self.document = document
        self.name = name
        self.environment = environment
        self.job = job

    def problems(self) -> Iterator[Problem]:
        yield from self._whole_names()
        yield from self._schedule()
        names: set[str] = set()
        for index, step in enumerate(self.job["steps"]):
            yield from self._fargate(index, step)
            yield from self._retry_wait(index, step)
            yield from self._fan_out(index, step)
            name = step.get("name")
            if isinstance(name, str) and name in names:
                yield self._problem(
                    ("steps", index, "name"), "JOBS-016", f"step {name} stands twice", "rename one of them"
                )
            names.add(str(name))
        yield from self._length()

    def _whole_names(self) -> Iterator[Problem]:
        values = {"prefix": f"nightlatch-{self.environment}", "job": self.name}
        whole = [(limit, text.format(**values)) for limit, text in _WHOLE_NAMES]
        for step in self.job["steps"]:
            family = f"{values['prefix']}-{self.name}-{step.get('name')}"
            whole.append((_LONGEST_FAMILY, f"the task family {family}"))
        for limit, text in whole:
            kind, _, name = text.rpartition(" ")
            if len(name) > limit:
                message = f"{self.name}: {kind} would have {len(name)} characters; AWS takes {limit}"
                place = self.document.key_mark(("jobs", self.name))
                yield Problem(self.document.file, *place, "JOBS-016", message, "shorten the job's name")
                return

    def _schedule(self) -> Iterator[Problem]:
        schedule = self.job.get("schedule")
        if not isinstance(schedule, dict):
            return
        kinds = [kind for kind in ("cron", "rate", "at") if schedule.get(kind) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            hint = (
                "keep one; `null` takes away what another level set" if kinds else 'cron: "cron(0 6 * * ? *)"'
            )
            message = f"a schedule needs one of cron, rate, at; here is {found}"
            yield self._problem(("schedule",), "JOBS-023", message, hint)
        if "alert_after_minutes" not in schedule:
            message = "a scheduled job needs alert_after_minutes"
            hint = "after how many minutes is a run that has not ended well worth waking someone?"
            yield self._problem(("schedule",), "JOBS-022", message, hint)

    def _fargate(self, index: int, step: Raw) -> Iterator[Problem]:
        cpu, memory = step.get("cpu"), step.get("memory")
        if not _is_number(cpu) or not _is_number(memory):
            return
        offered = FARGATE_MEMORY.get(cpu)
        if offered is None or memory in offered:
            return  # an unknown cpu was reported as such
        # Point at the value that the step itself chose; if it chose both, at the memory.
        key = "memory" if self._says(("steps", index, "memory")) else "cpu"
        message = f"Fargate does not offer {memory} MiB with {cpu} CPU units"
        hint = f"with cpu {cpu}: {_series(offered)}"
        yield self._problem(("steps", index, key), "JOBS-030", message, hint)

    def _retry_wait(self, index: int, step: Raw) -> Iterator[Problem]:
        wait = mapping(step.get("retry_wait"))
        first, longest = wait.get("first_seconds"), wait.get("max_seconds")
        if _is_number(first) and _is_number(longest) and first > longest:
            message = f"the first wait of {first} s is longer than the longest of {longest} s"
            yield self._problem(
                ("steps", index, "retry_wait"),
                "JOBS-032",
                message,
                "raise max_seconds or lower first_seconds",
            )

    def _fan_out(self, index: int, step: Raw) -> Iterator[Problem]:
        fan_out = step.get("fan_out")
        if not isinstance(fan_out, dict):
            return
        path: Path_ = ("steps", index, "fan_out")
        if self.job.get("claim_container") is True:
            message = (
                "a fan-out needs nightlatch's runtime in the image; claim_container says it is not there"
            )
            yield self._problem(path, "JOBS-036", message, "build the image on nightlatch's")
        source = fan_out.get("shards_from")
        earlier = [str(before.get("name")) for before in self.job["steps"][:index] if "fan_out" not in before]
        if isinstance(source, str) and source not in earlier:
            message = f"no earlier step {source} with one container can write the shards"
            hint = (
                choose(source, earlier) if earlier else "put the step that plans the shards before this one"
            )
            yield self._problem((*path, "shards_from"), "JOBS-036", message, hint)
        whole, one = step.get("timeout_minutes"), fan_out.get("shard_timeout_minutes")
        if isinstance(whole, int | float) and isinstance(one, int | float) and one > whole:
            message = f"one shard may take {one} minutes, all of them together {whole}"
            hint = "raise timeout_minutes or lower shard_timeout_minutes"
            yield self._problem((*path, "shard_timeout_minutes"), "JOBS-037", message, hint)

    def _length(self) -> Iterator[Problem]:
        try:
            steps = [_step_seconds(step) for step in self.job["steps"]]
            total = budget.lease_seconds(
                budget.run_timeout_seconds(self.job["lock"]["max_wait_minutes"], steps),
                [step["stop_grace_seconds"] for step in self.job["steps"]],
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return  # a value is missing or of the wrong type, and was reported
        if total > budget.LONGEST_RUN_SECONDS:
            days = total // 86400
            message = f"with every retry a run could take {days} days; Step Functions ends it after 365"
            yield self._problem(("steps",), "JOBS-031", message, "lower timeouts or retries")

    def _says(self, path: Path_) -> bool:
        return any(
            self.document.has(origin)
            for origin in origins(self.name, self.environment, path)
            if origin[0] == "jobs"
        )

    def _problem(self, path: Path_, code: str, message: str, hint: str) -> Problem:
        places = [it for it in origins(self.name, self.environment, path) if self.document.has(it)]
        place = self.document.mark(places[0] if places else ("jobs", self.name))
        return Problem(self.document.file, *place, code, f"{self.name}: {message}", hint)


def _step_seconds(step: Raw) -> int:
    timeout = seconds_of(step["timeout_minutes"])
    if "fan_out" in step:
        return budget.fan_out_seconds(timeout, step["stop_grace_seconds"])
    longest_wait = step["retry_wait"]["max_seconds"]
    return budget.step_seconds(timeout, step["stop_grace_seconds"], step["retry"], longest_wait)


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _series(offered: tuple[int, ...]) -> str:
    if len(offered) <= 4:  # noqa: PLR2004 - short enough to list
        return ", ".join(map(str, offered))
    return f"{offered[0]} to {offered[-1]} in steps of {offered[1] - offered[0]}"
