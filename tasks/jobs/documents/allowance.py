"""What containers may use together: requests and tokens a minute, and money for the whole run.

The state is one small object that all of them change by compare-and-swap (`cells`). A container takes blocks
of a few seconds, so that each changes the object about once a second, not with every request. Money that was
taken and not given back counts as spent: a killed container makes the run stop early, never late.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

_MINUTE: Final = 60.0
# What may be used at once after a quiet time, in seconds' worth. Providers count over less than a minute.
BURST: Final = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all containers together; 0 means none. `ceiling` in millionths of a dollar."""

    requests_a_minute: float = 0.0
    tokens_a_minute: float = 0.0
    ceiling: float = 0.0

    @property
    def any(self) -> bool:
        """Whether there is anything to share."""
        return bool(self.requests_a_minute or self.tokens_a_minute or self.ceiling)


@dataclass(frozen=True, slots=True)
class State:
    """Until when (epoch seconds) requests and tokens are given away, and the money that is out."""

    requests_until: float = 0.0
    tokens_until: float = 0.0
    money: float = 0.0

    def members(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, members: dict[str, Any]) -> "State":
        """From JSON."""
        return cls(
            float(members.get("requests_until", 0)),
            float(members.get("tokens_until", 0)),
            float(members.get("money", 0)),
        )


@dataclass(frozen=True, slots=True)
class Block:
    """What a container gets, after `wait` seconds."""

    requests: float
    tokens: float
    money: float
    wait: float


def take(
    state: State,
    limits: Limits,
    now: float,
    *,
    requests: float,
    tokens: float,
    money: float,
    least_money: float,
) -> tuple[State, Block | None]:
    """The new state and the block; None if less than `least_money` is left, then nothing changes.

    The rates are counted as in the generic cell rate algorithm: what is given away reaches into the future,
    and who takes it waits until that time has come, less the burst. So smaller requests starve nobody.
    """
    left = limits.ceiling - state.money
    if limits.ceiling and left < least_money:
        return state, None
    granted = min(money, left) if limits.ceiling else money
    until_r, wait_r = _advance(state.requests_until, limits.requests_a_minute, requests, now)
    until_t, wait_t = _advance(state.tokens_until, limits.tokens_a_minute, tokens, now)
    changed = State(until_r, until_t, state.money + granted)
    return changed, Block(requests, tokens, granted, max(wait_r, wait_t))


def give_back(state: State, money: float) -> State:
    """Money that was taken and not spent."""
    return replace(state, money=max(0.0, state.money - money))


def _advance(until: float, a_minute: float, amount: float, now: float) -> tuple[float, float]:
    if not a_minute:
        return until, 0.0
    until = max(until, now - BURST) + amount * _MINUTE / a_minute
    return until, max(0.0, until - now)
