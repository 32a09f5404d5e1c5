"""Schedule expressions and time zones, as far as a jobs file must be checked."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from importlib.resources import files

from aws_croniter import AwsCroniter
from pydantic_core import PydanticCustomError

from nightlatch.catalog.problems import nearest

_FORM = re.compile(r"(cron|rate|at)\((.*)\)")
_RATE = re.compile(r"([1-9][0-9]*) (minute|minutes|hour|hours|day|days)")
_CRON_FIELDS = 6


def check_expression(kind: str, text: str) -> str:
    """The expression itself, if it is a ``cron``, ``rate`` or ``at`` that EventBridge Scheduler takes.

    Raises:
        PydanticCustomError: It does not; code JOBS-020.
    """
    form = _FORM.fullmatch(text)
    if not form or form[1] != kind:
        examples = {
            "cron": "cron(0 6 * * ? *) is 06:00 daily",
            "rate": "rate(5 minutes)",
            "at": "at(2027-01-31T06:00:00)",
        }
        raise _refused(text, f"it is not {kind}(...)", f"for example {examples[kind]}")
    check = {"cron": _check_cron, "rate": _check_rate, "at": _check_at}[kind]
    check(text, form[2])
    return text


def _check_cron(text: str, inner: str) -> None:
    count = len(inner.split())
    if count != _CRON_FIELDS:
        raise _refused(
            text,
            f"it has {count} fields, not six",
            "minute hour day-of-month month day-of-week year, with ? in one of the two days",
        )
    try:
        AwsCroniter(inner)
    except ValueError as error:
        raise _refused(text, str(error), "cron(0 6 * * ? *) is 06:00 daily; one of the days is ?") from error


def _check_rate(text: str, inner: str) -> None:
    match = _RATE.fullmatch(inner)
    # AWS wants the singular for one and the plural for more.
    if not match or (match[1] == "1") == match[2].endswith("s"):
        raise _refused(text, "it is no rate", "rate(1 minute), rate(5 minutes), rate(1 hour), rate(7 days)")


def _check_at(text: str, inner: str) -> None:
    try:
        datetime.strptime(inner, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the time zone stands beside it
    except ValueError as error:
        raise _refused(
            text, "it is no time", "at(2027-01-31T06:00:00), in the schedule's time zone"
        ) from error


def _refused(text: str, why: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError(
        "JOBS-020", "the expression {text} is refused: {why}", {"text": text, "why": why, "hint": hint}
    )


@cache
def _timezones() -> frozenset[str]:
    # The list that ships with tzdata: the same on every machine, and exact in case, unlike a file system.
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def check_timezone(name: str) -> str:
    """The time zone itself, if there is such an IANA zone.

    Raises:
        PydanticCustomError: There is none; code JOBS-021.
    """
    if name not in _timezones():
        best = nearest(name, _timezones())
        hint = f"did you mean {best!r}?" if best else "use an IANA name such as Asia/Tokyo or UTC"
        raise PydanticCustomError("JOBS-021", "there is no time zone {name}", {"name": name, "hint": hint})
    return name
