"""The parts of a parsed definition: what the engine runs. Everything in them has been checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from statemachine.interpreter.integration import Pattern
from statemachine.interpreter.template import Template


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a definition.

    Attributes:
        where: the place as AWS's diagnostics name it, with the state's name: `/States/Acquire/Next`.
        message: what is wrong and what is possible instead.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class DefinitionError(Exception):
    """A definition was refused.

    Attributes:
        problems: everything that is wrong with it.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class State:
    """What every state has.

    Attributes:
        next: the state that follows, or None where the state ends its graph.
        assign: one template per variable.
        output: None where the default applies.
    """

    name: str
    type: str
    next: str | None = None
    assign: Mapping[str, Template] = field(default_factory=dict)
    output: Template | None = None


@dataclass(frozen=True)
class Retrier:
    """One element of `Retry`, defaults filled in. Times in seconds."""

    error_equals: tuple[str, ...]
    interval: int = 1
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay: int | None = None
    full_jitter: bool = False


@dataclass(frozen=True)
class Catcher:
    """One element of `Catch`."""

    error_equals: tuple[str, ...]
    next: str
    assign: Mapping[str, Template]
    output: Template | None


@dataclass(frozen=True)
class Rule:
    """One element of `Choices`."""

    condition: Template
    next: str
    assign: Mapping[str, Template]
    output: Template | None


@dataclass(frozen=True)
class Resource:
    """A service integration's ARN, taken apart."""

    arn: str
    service: str
    action: str
    sdk: bool
    pattern: Pattern

    @property
    def shown_type(self) -> str:
        """The `resourceType` of history events: `ecs`, `aws-sdk:sfn`."""
        return f"aws-sdk:{self.service}" if self.sdk else self.service

    @property
    def shown_action(self) -> str:
        """The `resource` of history events: `runTask.sync`."""
        return self.arn.rpartition(f":{self.service}:")[2]


@dataclass(frozen=True, kw_only=True)
class Pass(State):
    """Hands on its input or its Output."""


@dataclass(frozen=True, kw_only=True)
class Succeed(State):
    """Ends the graph well."""


@dataclass(frozen=True, kw_only=True)
class Fail(State):
    """Fails with a name and a text."""

    error: Template | None = None
    cause: Template | None = None


@dataclass(frozen=True, kw_only=True)
class Wait(State):
    """Sleeps; exactly one of the two is set."""

    seconds: Template | None = None
    timestamp: Template | None = None


@dataclass(frozen=True, kw_only=True)
class Choice(State):
    """Goes where the first true condition points; `next` is the Default."""

    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Handling(State):
    """The states that have Retry and Catch."""

    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Task(Handling):
    """Calls a service integration."""

    resource: Resource
    arguments: Template | None = None
    timeout: Template | None = None
    heartbeat: Template | None = None


@dataclass(frozen=True)
class Graph:
    """States that run one after another: a machine, a branch, or an item processor."""

    start_at: str
    states: Mapping[str, State]


@dataclass(frozen=True, kw_only=True)
class Parallel(Handling):
    """Runs its branches at once."""

    branches: tuple[Graph, ...] = ()
    arguments: Template | None = None


@dataclass(frozen=True, kw_only=True)
class Map(Handling):
    """Runs its processor once per item, inside the execution."""

    processor: Graph
    items: Template | None = None
    item_selector: Template | None = None
    max_concurrency: Template | None = None


@dataclass(frozen=True)
class ItemReader:
    """Where a Distributed Map finds its items: one S3 object with a JSON array."""

    resource: Resource
    arguments: Template
    max_items: Template | None = None


@dataclass(frozen=True, kw_only=True)
class DistributedMap(Handling):
    """Runs its processor once per item, each in a child execution."""

    processor: Graph
    items: Template | None = None
    reader: ItemReader | None = None
    item_selector: Template | None = None
    max_concurrency: Template | None = None
    tolerated_count: Template | None = None
    tolerated_percentage: Template | None = None
    label: str | None = None
