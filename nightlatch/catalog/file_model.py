"""The shape of a jobs file: which keys there are, of which type, in which range.

These models describe the file as written, before ``defaults`` and ``environments`` are merged, so that every
value can be reported where it stands. The JSON Schema for editors is generated from them. What holds only
between values, or after merging, is in :mod:`nightlatch.catalog.rules`.
"""

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError

from nightlatch.catalog.expressions import check_expression, check_timezone

LONGEST_NAME = 41
"""Of a job or step. The execution name ``{job}-{execution id}`` may have 80 characters and the Scheduler's
execution id may be a UUID of 36; the schedule ``{job}-watchdog`` may have 64."""

RETRY_CLASSES = ("launch", "infrastructure", "spot", "start", "out_of_memory", "timeout", "exit")
"""Why an attempt can fail; ``exit_N`` for one exit status comes in addition."""

ConflictPolicy = Literal["skip", "wait", "replace", "fail"]


class Part(BaseModel):
    """A mapping of the file. Strict: no unknown keys, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


def _no_jsonata(text: str) -> str:
    # The settings stand inside the state machine's definition, where "{% ... %}" is an expression.
    if "{%" in text or "%}" in text:
        raise PydanticCustomError(
            "JOBS-033",
            "'{%' and '%}' are evaluated by Step Functions",
            {"hint": "write the text without these two characters side by side"},
        )
    return text


def _own_variable(name: str) -> str:
    if name.upper().startswith(("NIGHTLATCH_", "ECS_CONTAINER_METADATA_URI")):
        raise PydanticCustomError(
            "JOBS-034",
            "the variable {name} belongs to the run, not to the file",
            {"name": name, "hint": "choose a name that does not begin with NIGHTLATCH_ or ECS_CONTAINER_"},
        )
    return name


def _whole_seconds(minutes: float) -> float:
    seconds = minutes * 60
    if abs(seconds - round(seconds)) > 1e-6:  # noqa: PLR2004 - binary fractions: 0.35 * 60 is not quite 21
        raise PydanticCustomError(
            "JOBS-035",
            "{minutes} minutes is not a whole number of seconds",
            {"minutes": minutes, "hint": "0.05 minutes is 3 seconds; use a multiple of that"},
        )
    return minutes


def _not_boolean(value: Any) -> Any:
    # bool is an int to Python; in a file, `cpu: true` is a mistake.
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "Input should be a valid number")
    return value


def _every_class(retry: dict[str, int]) -> dict[str, int]:
    missing = [name for name in RETRY_CLASSES if name not in retry]
    if missing:
        raise PydanticCustomError(
            "JOBS-011",
            "missing here: {missing}",
            {"missing": ", ".join(missing), "hint": "defaults are complete; 0 means never tried again"},
        )
    return retry


Text = Annotated[str, AfterValidator(_no_jsonata)]
Name = Annotated[str, Field(pattern=rf"^[a-z][a-z0-9-]{{0,{LONGEST_NAME - 1}}}$")]
LockKey = Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")]
Image = Annotated[Text, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")]
EnvironmentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,15}$")]
Timezone = Annotated[str, AfterValidator(check_timezone)]
Cron = Annotated[str, AfterValidator(partial(check_expression, "cron"))]
Rate = Annotated[str, AfterValidator(partial(check_expression, "rate"))]
At = Annotated[str, AfterValidator(partial(check_expression, "at"))]
Variables = dict[
    Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_own_variable)], Text
]
_Number = BeforeValidator(_not_boolean)
Cpu = Annotated[Literal[256, 512, 1024, 2048, 4096, 8192, 16384], _Number]
Memory = Annotated[int, _Number, Field(ge=512, le=122880)]
# ECS keeps a stopping container for 2 to 120 seconds on Fargate.
StopGrace = Annotated[int, _Number, Field(ge=2, le=120)]
StepTimeout = Annotated[float, _Number, Field(gt=0, le=525600), AfterValidator(_whole_seconds)]
# A waiting run writes about nine history events for each look at the lock; 25,000 end an execution.
MaxWait = Annotated[int, _Number, Field(ge=0, le=1380)]
MaxWaiters = Annotated[int, _Number, Field(ge=0, le=100)]
AlertAfter = Annotated[int, _Number, Field(ge=1, le=10080)]
# EventBridge Scheduler: MaximumEventAgeInSeconds is 60 to 86400.
MaxLateness = Annotated[int, _Number, Field(ge=1, le=1440)]
RetryCount = Annotated[int, _Number, Field(ge=0, le=20)]
_RETRY_KEY = rf"^({'|'.join(RETRY_CLASSES)}|exit_([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]))$"
Retry = Annotated[
    dict[Annotated[str, Field(pattern=_RETRY_KEY)], RetryCount],
    Field(
        json_schema_extra={
            "properties": {
                name: {"type": "integer", "minimum": 0, "maximum": 20} for name in (*RETRY_CLASSES, "exit_75")
            }
        }
    ),
]
CompleteRetry = Annotated[Retry, AfterValidator(_every_class)]
Command = Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1, max_length=200)]


class RetryWait(Part):
    """The wait before the next attempt."""

    first_seconds: Annotated[int, _Number, Field(ge=1, le=3600)]
    """Seconds before the second attempt; the wait is a random part of it."""
    rate: Annotated[int, _Number, Field(ge=1, le=10)]
    """How many times longer each further wait is."""
    max_seconds: Annotated[int, _Number, Field(ge=1, le=3600)]
    """No wait is longer."""


class StepDefaults(Part):
    """What every step has unless it says otherwise."""

    cpu: Cpu
    """Fargate CPU units; 1024 is one core."""
    memory: Memory
    """Memory in MiB; Fargate offers certain sizes for each cpu."""
    stop_grace_seconds: StopGrace
    """Time between SIGTERM and SIGKILL."""
    environment: Variables
    """Environment variables of the container. No secrets: they can be read in the task definition."""
    retry: CompleteRetry
    """How often a step is tried again after each class of failure. exit_75 is for exit status 75."""
    retry_wait: RetryWait
    """The wait before the next attempt."""


class LockDefaults(Part):
    """What happens at a held lock, unless the job says otherwise."""

    on_conflict: ConflictPolicy
    """What a run does that finds the lock held: skip, wait in line, replace the holder, or fail."""
    max_wait_minutes: MaxWait
    """How long a run may wait for the lock."""
    max_waiters: MaxWaiters
    """How many runs may wait at once."""


class ScheduleDefaults(Part):
    """What every schedule has unless the job says otherwise."""

    timezone: Timezone
    """IANA time zone in which the expression is read, such as Asia/Tokyo."""
    max_lateness_minutes: MaxLateness
    """A start that AWS could not deliver for this long is given up."""


class Defaults(Part):
    """Every value that a job may leave out. Complete; there are no other defaults."""

    image: Image
    """The image of a job; a name that each environment resolves, or a full reference."""
    schedule: ScheduleDefaults
    lock: LockDefaults
    step: StepDefaults


def _partial(model: type[Part], name: str, **changed: Any) -> type[Part]:
    """The model with every key optional; a key that is there must still be right."""
    fields: dict[str, Any] = {}
    for key, info in model.model_fields.items():
        described = Field(description=info.description)
        annotation = changed.get(
            key, Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        )
        fields[key] = (Annotated[annotation, described], None)
    return create_model(name, __base__=Part, __doc__=model.__doc__, **fields)


_StepPart = _partial(StepDefaults, "StepPart", retry=Retry, retry_wait=_partial(RetryWait, "RetryWaitPart"))
_LockPart = _partial(LockDefaults, "LockPart")
_SchedulePart = _partial(ScheduleDefaults, "SchedulePart")


class FanOut(Part):
    """A container for each shard that an earlier step wrote down."""

    shards_from: Name
    """The earlier step of this job whose shards.json is the list: one item, one container."""
    shard_timeout_minutes: StepTimeout
    """An attempt of one shard that takes longer is stopped. timeout_minutes bounds all of them together."""
    max_concurrency: Annotated[int, _Number, Field(ge=1, le=1000)]
    """So many containers run at once, at most."""
    tolerated_failure_percentage: Annotated[int, _Number, Field(ge=0, le=100)]
    """The step fails when more than so many of a hundred shards fail."""


class Step(_StepPart):  # type: ignore[valid-type,misc]  # made at run time
    """One container of a job."""

    name: Name
    """Unique within the job."""
    command: Command
    """What the container runs: the words after its entry point."""
    timeout_minutes: StepTimeout
    """An attempt that takes longer is stopped; start-up counts. Of a fan-out: all shards together."""
    fan_out: FanOut = None  # type: ignore[assignment]
    """Run the step once for each shard, side by side. Absent: one container."""


class Lock(_LockPart):  # type: ignore[valid-type,misc]  # made at run time
    """The lock that a run holds from its first step to its last. Jobs with the same key never overlap."""

    key: LockKey
    """The lock's name."""


class Schedule(_SchedulePart):  # type: ignore[valid-type,misc]  # made at run time
    """When the job starts by itself: one of cron, rate and at."""

    cron: Cron | None = None
    """Six fields as EventBridge Scheduler reads them: cron(0 6 * * ? *) is 06:00 every day."""
    rate: Rate | None = None
    """rate(5 minutes), rate(1 hour), rate(7 days)."""
    at: At | None = None
    """Once: at(2027-01-31T06:00:00)."""
    alert_after_minutes: AlertAfter = None  # type: ignore[assignment]
    """A run that has not ended well so long after its time is reported as missing. Required."""


class _JobBody(Part):
    description: Annotated[Text, Field(max_length=256)] = ""
    """What the job is for, in one line."""
    schedule: Schedule | None = None
    """Absent or null: the job starts only by hand."""
    image: Image = None  # type: ignore[assignment]
    """The image of the job's containers."""
    claim_container: Annotated[bool, Field(strict=True)] = False
    """true: the image is not built on nightlatch's, so a container of ours claims the lock before it."""
    lock: Lock
    steps: Annotated[list[Step], Field(min_length=1, max_length=40)]
    """Run one after the other."""


_Override = _partial(_JobBody, "JobOverride", schedule=Schedule | None, lock=_partial(Lock, "LockOverride"))


class Job(_JobBody):
    """A job as the file declares it."""

    environments: dict[EnvironmentName, _Override] = {}  # type: ignore[valid-type]
    """What differs in one environment. Mappings are merged key by key, lists are replaced."""


class JobsFile(Part):
    """The jobs of one nightlatch installation."""

    defaults: Defaults
    environments: Annotated[list[EnvironmentName], Field(min_length=1, max_length=20)]
    """The environments that this file knows."""
    jobs: Annotated[dict[Name, Job], Field(max_length=1000)]
    """The jobs by name."""
