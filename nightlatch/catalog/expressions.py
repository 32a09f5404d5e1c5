"""Schedule expressions and time zones, as far as a jobs file must be checked."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from pydantic_core import PydanticCustomError

from nightlatch.catalog.problems import nearest
from nightlatch.schedules import ScheduleError, parse

_FORM = re.compile(r"(cron|rate|at)\((.*)\)")
_RATE = re.compile(r"([1-9][0-9]*) (minute|minutes|hour|hours|day|days)")


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
    rate = _RATE.fullmatch(form[2])
    # AWS wants the singular for one and the plural for more.
    if kind == "rate" and (not rate or (rate[1] == "1") == rate[2].endswith("s")):
        raise _refused(text, "it is no rate", "rate(1 minute), rate(5 minutes), rate(1 hour), rate(7 days)")
    try:
        parse(text)
    except ScheduleError as error:
        hints = {
            "cron": "minute hour day-of-month month day-of-week year, with ? in one of the two days",
            "at": "at(2027-01-31T06:00:00), in the schedule's time zone",
        }
        raise _refused(text, str(error), hints.get(kind, "rate(5 minutes)")) from error
    return text


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
