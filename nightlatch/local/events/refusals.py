from __future__ import annotations

from typing import Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.events.pattern import parse_pattern
from nightlatch.schedules import ScheduleError, parse


def check_written(service: str, operation: str, params: dict[str, Any]) -> None:
    """Refuse what AWS refuses when a schedule or rule is written, and moto does not.

    Raises:
        ApiError: ``ValidationException`` or ``InvalidEventPatternException``.
    """
    if (service, operation) == ("events", "PutRule") and params.get("EventPattern"):
        parse_pattern(params["EventPattern"])
    written = {("events", "PutRule"), ("scheduler", "CreateSchedule"), ("scheduler", "UpdateSchedule")}
    if (service, operation) not in written or not params.get("ScheduleExpression"):
        return
    expression, timezone = params["ScheduleExpression"], params.get("ScheduleExpressionTimezone") or "UTC"
    try:
        parse(expression, timezone)
    except ScheduleError as error:
        raise ApiError(
            "ValidationException", f"Invalid Schedule Expression {expression}: {error}."
        ) from error
    if service == "events" and expression.startswith("at("):
        raise ApiError("ValidationException", "Parameter ScheduleExpression is not valid.")
