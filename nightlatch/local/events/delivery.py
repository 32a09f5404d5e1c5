"""Bringing a firing to its target: attempts, back-off, dead letters.

Source: Scheduler user guide, "Managing targets", "Adding schedule context attributes", "Configuring a
dead-letter queue"; EventBridge user guide, "Event retry policy and using dead-letter queues".
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.events.targets import invoke, is_retryable, send_to_queue

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from nightlatch.local.aws import Caller
    from nightlatch.local.events.store import Store
    from statemachine.interpreter import Clock

DEFAULT_ATTEMPTS, DEFAULT_AGE = 185, 86_400
"""``MaximumRetryAttempts`` and ``MaximumEventAgeInSeconds`` of a target that does not say."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds between two attempts: the first and the longest wait; with full jitter."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Delivery:
    """One payload on its way to one target.

    Attributes:
        source_arn: The schedule or rule.
        target: The target as defined when it fired.
        payload: The input; context attributes of a schedule are filled in at each attempt.
        scheduled_time: ISO 8601, for schedules only.
        begun: Epoch seconds from which its age counts.
        attempts: How many were made.
        key: Names it.
    """

    source_arn: str
    target: dict[str, Any]
    payload: str
    begun: float
    scheduled_time: str | None = None
    attempts: int = 0
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def saved(self) -> dict[str, Any]:
        """What is put on file."""
        return asdict(self)

    @property
    def policy(self) -> tuple[int, float]:
        """Retries allowed, and the age in seconds at which they end."""
        policy = self.target.get("RetryPolicy") or {}
        return (
            policy.get("MaximumRetryAttempts", DEFAULT_ATTEMPTS),
            policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE),
        )


@dataclass(frozen=True)
class Attempt:
    """What came of one attempt.

    Attributes:
        execution_id: As the target may have seen it.
        response: What the target's API replied, if it accepted.
        error: Its refusal otherwise.
    """

    execution_id: str
    response: dict[str, Any] | None = None
    error: ApiError | None = None


class Deliveries:
    """Delivers, at least once.

    Args:
        store: Remembers what is not delivered yet.
        aws: Reaches the targets.
        clock: The time of day; waiting is ``trio.sleep``.
        jitter: Spreads the attempts.
    """

    def __init__(self, store: Store, aws: Caller, clock: Clock, jitter: random.Random) -> None:
        self._store = store
        self._aws = aws
        self._clock = clock
        self._jitter = jitter

    async def deliver(self, delivery: Delivery, on_attempt: Callable[[Attempt], None] | None = None) -> None:
        """Deliver what is on file: attempt until it is accepted, refused for good, or too late.

        Args:
            delivery: What to deliver.
            on_attempt: Told the outcome of each attempt.
        """
        while True:
            attempt = await self.attempt(delivery)
            delivery = replace(delivery, attempts=delivery.attempts + 1)
            if on_attempt is not None:
                on_attempt(attempt)
            if attempt.error is None:
                break
            wait = self._wait(delivery)
            exhausted = _exhausted(delivery, self._clock.now() + wait)
            if not is_retryable(attempt.error) or exhausted is not None:
                await self._give_up(delivery, attempt, exhausted if is_retryable(attempt.error) else None)
                break
            self._store.put_delivery(delivery.key, delivery.saved())
            await trio.sleep(wait)
        self._store.delivered(delivery.key)

    async def attempt(self, delivery: Delivery) -> Attempt:
        """Make one attempt."""
        execution_id = str(uuid.uuid4())
        payload = delivery.payload
        if delivery.scheduled_time is not None:
            payload = _with_context(delivery, execution_id)
        try:
            return Attempt(execution_id, await invoke(delivery.target, payload, self._aws, self._clock))
        except ApiError as error:
            _log.warning(
                "target refused", source=delivery.source_arn, target=delivery.target["Arn"], code=error.code,
                reason=error.message, attempt=delivery.attempts + 1,
            )  # fmt: skip
            return Attempt(execution_id, error=error)

    def _wait(self, delivery: Delivery) -> float:
        limit = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(delivery.attempts - 1, 16))
        return self._jitter.uniform(limit / 2, limit)

    async def _give_up(self, delivery: Delivery, attempt: Attempt, exhausted: str | None) -> None:
        queue = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
        if queue is None:
            _log.error("not delivered", source=delivery.source_arn, target=delivery.target["Arn"])
            return
        try:
            await send_to_queue(
                queue, delivery.payload, self._aws, attributes=_attributes(delivery, attempt, exhausted)
            )
        except ApiError as error:
            _log.error(
                "not delivered, and no dead letter either", source=delivery.source_arn, queue=queue,
                code=error.code, reason=error.message,
            )  # fmt: skip


def scheduled_text(seconds: float) -> str:
    """A scheduled time as Scheduler writes it: ``2026-11-21T21:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _exhausted(delivery: Delivery, at: float) -> str | None:
    retries, age = delivery.policy
    if delivery.attempts > retries:
        return "MaximumRetryAttempts"
    return "MaximumEventAgeInSeconds" if at - delivery.begun > age else None


def _with_context(delivery: Delivery, execution_id: str) -> str:
    values = {
        "schedule-arn": delivery.source_arn,
        "scheduled-time": delivery.scheduled_time or "",
        "execution-id": execution_id,
        "attempt-number": str(delivery.attempts + 1),
    }
    payload = delivery.payload
    for name, value in values.items():
        payload = payload.replace(f"<aws.scheduler.{name}>", value)
    return payload


def _attributes(delivery: Delivery, attempt: Attempt, exhausted: str | None) -> dict[str, dict[str, str]]:
    error = attempt.error or ApiError("", "")
    values = {
        "ERROR_CODE": error.code,
        "ERROR_MESSAGE": error.message or error.code,
        "TARGET_ARN": delivery.target["Arn"],
    }
    if exhausted is not None:
        values["EXHAUSTED_RETRY_CONDITION"] = exhausted
    if delivery.scheduled_time is None:
        values["RULE_ARN"] = delivery.source_arn
    else:
        values["EXECUTION_ID"] = attempt.execution_id
        values["IS_PAYLOAD_TRUNCATED"] = "false"
        values["SCHEDULED_TIME"] = delivery.scheduled_time
        values["SCHEDULE_ARN"] = delivery.source_arn
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
    attributes["RETRY_ATTEMPTS"] = {"DataType": "Number", "StringValue": str(delivery.attempts - 1)}
    return attributes
