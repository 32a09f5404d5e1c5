"""The faults of one random night. Which kinds there are is drawn first, so that nights differ in kind."""

import random
from dataclasses import dataclass, field

from tests.simulation.world.ecs import Behaviour
from tests.simulation.world.faults import Call, Fault


@dataclass
class Weather:
    """Faults by chance.

    Attributes:
        calm: set at the end of the night: no more faults, so that everything can come to rest.
    """

    rng: random.Random
    calm: bool = False
    happened: int = 0
    lost_requests: float = field(init=False)
    lost_replies: float = field(init=False)
    doubled: float = field(init=False)
    slowness: float = field(init=False)
    event_habits: list[str] = field(init=False)
    longest_describe_lag: float = field(init=False)
    longest_list_lag: float = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng
        self.lost_requests = rng.choice([0, 0, 0.02, 0.1, 0.3])
        self.lost_replies = rng.choice([0, 0, 0.02, 0.1, 0.3])
        self.doubled = rng.choice([0, 0, 0.2])
        self.slowness = rng.choice([0.02, 0.02, 0.5, 5.0])
        self.event_habits = rng.choice(
            [["prompt"], ["late"], ["never"], ["twice"], ["prompt", "late", "never", "twice"]]
        )
        self.longest_describe_lag = rng.choice([0.0, 0.0, 3.0, 60.0])
        self.longest_list_lag = rng.choice([0.0, 0.0, 3.0, 200.0])

    def fault(self, call: Call) -> Fault:
        """Drawn for every call."""
        if self.calm:
            return "none"
        drawn = self.rng.random()
        fault: Fault = "none"
        if drawn < self.lost_requests:
            fault = "lost request"
        elif drawn < self.lost_requests + self.lost_replies:
            fault = "lost reply"
        elif call.action == "runTask" and self.rng.random() < self.doubled:
            fault = "doubled"
        self.happened += fault != "none"
        return fault

    def delay(self, call: Call) -> float:
        """Mostly quick, sometimes not."""
        return 0.001 + self.rng.expovariate(1 / (0.02 if self.calm else self.slowness))

    def event_delays(self) -> list[float]:
        """Best effort."""
        habit = "prompt" if self.calm else self.rng.choice(self.event_habits)
        rng = self.rng
        return {
            "prompt": [rng.uniform(0.1, 3)],
            "late": [rng.uniform(10, 1500)],
            "never": [],
            "twice": [rng.uniform(0.1, 60), rng.uniform(0.1, 1500)],
        }[habit]

    def describe_lag(self) -> float:
        """Eventual consistency."""
        return 0.0 if self.calm else self.rng.uniform(0, self.longest_describe_lag)

    def list_lag(self) -> float:
        """Eventual consistency."""
        return 0.0 if self.calm else self.rng.uniform(0, self.longest_list_lag)


def any_behaviour(rng: random.Random, wildness: float) -> Behaviour:
    """What some task does: mostly its work."""
    common = {
        "provision_seconds": rng.choice([0.5, 20.0, 20.0, 45.0, 300.0]) * rng.uniform(0.5, 1.5),
        "boot_seconds": rng.uniform(0.01, 4),
        "work_seconds": rng.choice([2.0, 60.0, 200.0, 500.0]) * rng.uniform(0.5, 1.5),
        "ignores_sigterm": rng.random() < 0.3,
        "term_seconds": rng.uniform(0.1, 25),
    }
    if rng.random() > wildness:
        return Behaviour(**common)  # type: ignore[arg-type]
    odd = rng.choice(
        [
            {"exit_code": 1},
            {"exit_code": 64},
            {"exit_code": 75},
            {"exit_code": 137},
            {"exit_code": 137, "container_reason": "OutOfMemoryError: container killed due to memory usage"},
            {"start_failure": "CannotPullContainerError: not found"},
            {"start_failure": "ResourceInitializationError: no route"},
            {"start_failure": "InternalError: try again"},
            {"start_failure": "the task never got its place", "provision_seconds": 1500.0},
            {"stop_code": "SpotInterruption", "exit_code": 143},
            {"stop_code": "InfrastructureHealth", "exit_code": 137},
            {"work_seconds": 10.0**9},
            {"work_seconds": 10.0**9, "ignores_sigterm": True},
        ]
    )
    return Behaviour(**{**common, **odd})  # type: ignore[arg-type]
