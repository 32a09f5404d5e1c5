"""Schedules and rules as they are defined in moto, read when something may have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from nightlatch.local.api_error import ApiError
from nightlatch.local.events.delivery import DEFAULT_AGE
from nightlatch.local.events.pattern import parse_pattern
from nightlatch.local.events.timetable import Timer

if TYPE_CHECKING:
    from nightlatch.local.aws import Caller

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rule:
    """A rule that wants events.

    Attributes:
        arn: Of the rule.
        bus: Name of its event bus.
        pattern: As `parse_pattern` accepted it.
        targets: As ListTargetsByRule gives them.
    """

    arn: str
    bus: str
    pattern: dict[str, Any]
    targets: list[dict[str, Any]]


async def read_schedules(aws: Caller) -> list[Timer]:
    """Every schedule of every group, as a timer whose definition is what GetSchedule gives.

    Raises:
        ApiError: Scheduler could not be read.
    """
    timers = []
    for summary in await _all_pages(aws, "scheduler", "ListSchedules", "Schedules"):
        try:
            schedule = await aws.call(
                "scheduler", "GetSchedule", {"GroupName": summary["GroupName"], "Name": summary["Name"]}
            )
        except ApiError as error:
            if error.code != "ResourceNotFoundException":
                raise
            continue  # deleted between the two calls
        timers.append(schedule_timer(schedule))
    return timers


def schedule_timer(schedule: dict[str, Any]) -> Timer:
    """A schedule, as GetSchedule gives it, as a timer."""
    policy = (schedule.get("Target") or {}).get("RetryPolicy") or {}
    return Timer(
        arn=schedule["Arn"],
        expression=schedule["ScheduleExpression"],
        timezone=schedule.get("ScheduleExpressionTimezone") or "UTC",
        enabled=schedule.get("State") != "DISABLED",
        created=_seconds(schedule.get("CreationDate")),
        start=_seconds(schedule.get("StartDate")),
        end=_seconds(schedule.get("EndDate")),
        max_age=policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE),
        fires_at_once=True,
        definition=schedule,
    )


async def read_rules(aws: Caller) -> tuple[list[Rule], list[Timer]]:
    """Every enabled rule: those that want events, and those that fire by the clock.

    The definition of a timer has its ``Targets`` as ListTargetsByRule gives them.

    Raises:
        ApiError: EventBridge could not be read.
    """
    rules, timers = [], []
    for bus in await _all_pages(aws, "events", "ListEventBuses", "EventBuses"):
        where = {"EventBusName": bus["Name"]}
        for summary in await _all_pages(aws, "events", "ListRules", "Rules", **where):
            asked = {**where, "Rule": summary["Name"]}
            targets = await _all_pages(aws, "events", "ListTargetsByRule", "Targets", **asked)
            enabled = summary.get("State", "ENABLED") != "DISABLED"
            if summary.get("ScheduleExpression"):
                timers.append(_rule_timer(summary, targets, enabled=enabled))
            if summary.get("EventPattern") and enabled:
                try:
                    pattern = parse_pattern(summary["EventPattern"])
                except ApiError as error:
                    _log.error("rule never matches", rule=summary["Arn"], reason=error.message)
                    continue
                rules.append(Rule(summary["Arn"], bus["Name"], pattern, targets))
    return rules, timers


def _rule_timer(rule: dict[str, Any], targets: list[dict[str, Any]], *, enabled: bool) -> Timer:
    return Timer(
        arn=rule["Arn"],
        expression=rule["ScheduleExpression"],
        timezone="UTC",
        enabled=enabled,
        created=None,
        start=None,
        end=None,
        max_age=DEFAULT_AGE,
        fires_at_once=False,
        definition={**rule, "Targets": targets},
    )


async def _all_pages(
    aws: Caller, service: str, operation: str, member: str, **asked: str
) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    token: str | None = None
    while True:
        reply = await aws.call(service, operation, {**asked, **({"NextToken": token} if token else {})})
        items += reply.get(member) or []
        token = reply.get("NextToken")
        if not token:
            return items


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)
