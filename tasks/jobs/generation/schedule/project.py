"""The input of schedule-generate: a project as people write it.

All dates are days; a day is the unit of work. What the fields mean is in docs/jobs/schedule-generate.md;
`python -m tasks.jobs.generation.schedule.project` prints the JSON Schema.
"""

import json
import sys
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# Longer than a working life on one project: a typing error, and tables that large help nobody.
LONGEST_DURATION: Final = 3_650
MOST_UNITS: Final = 1_000_000
DEFAULT_CALENDAR: Final = "default"

Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Weekday(StrEnum):
    """Days of the week, Monday first as in `date.weekday`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class Period(_Strict):
    """Days from `first` to `last`, both included."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    reason: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"ends ({self.last}) before it begins ({self.first})")
        return self


class Calendar(_Strict):
    """On which days people work."""

    days_off: frozenset[Weekday] = frozenset({Weekday.SATURDAY, Weekday.SUNDAY})
    holidays: Literal["japan", "none"] = "japan"
    closed: tuple[Period, ...] = ()
    # Days on which work goes on although the rules above say no.
    open: tuple[date, ...] = ()


class Rain(_Strict):
    """Days lost by outdoor work: those that are known, and a reserve for each month (1-12)."""

    days: tuple[date, ...] = ()
    reserve_per_month: dict[Annotated[int, Field(ge=1, le=12)], Annotated[int, Field(ge=0, le=31)]] = Field(
        default_factory=dict
    )


class Unavailable(Period):
    """When some (`units`) or all units of a resource are not there."""

    units: int | None = Field(default=None, ge=1, le=MOST_UNITS)


class Resource(_Strict):
    """A crew or a machine of which `units` are there at once."""

    id: Name
    name: str = ""
    kind: Literal["crew", "equipment"] = "crew"
    units: int = Field(ge=0, le=MOST_UNITS)
    unavailable: tuple[Unavailable, ...] = ()


class Kind(StrEnum):
    """Which end of the predecessor holds back which end of the successor."""

    FINISH_START = "FS"
    START_START = "SS"
    FINISH_FINISH = "FF"
    START_FINISH = "SF"


class Link(_Strict):
    """The successor waits for `activity`, and `lag` days more (negative: it may overlap by so many)."""

    activity: Name
    kind: Kind = Kind.FINISH_START
    lag: int = Field(default=0, ge=-LONGEST_DURATION, le=LONGEST_DURATION)
    # working: days of the default calendar. calendar: days by the clock, such as the curing of concrete.
    unit: Literal["working", "calendar"] = "working"


def _link(written: Any) -> Any:
    return {"activity": written} if isinstance(written, str) else written


class Activity(_Strict):
    """Work of `duration` working days, without interruption but for days off; 0 is a milestone."""

    id: Name
    name: str = ""
    group: str = ""
    duration: int = Field(ge=0, le=LONGEST_DURATION, strict=True)
    calendar: Name = DEFAULT_CALENDAR
    outdoor: bool = False
    needs: dict[Name, Annotated[int, Field(ge=0, le=MOST_UNITS, strict=True)]] = Field(default_factory=dict)
    after: tuple[Annotated[Link, BeforeValidator(_link)], ...] = ()
    not_before: date | None = None
    deadline: date | None = None

    @property
    def label(self) -> str:
        """Name and id, as reasons and charts call it."""
        return f"{self.name} ({self.id})" if self.name and self.name != self.id else self.id


class Project(_Strict):
    """A whole project."""

    schema_version: Literal[1] = 1
    name: str = ""
    language: Literal["ja", "en"] = "ja"
    start: date
    deadline: date | None = None
    calendars: dict[Name, Calendar] = Field(default_factory=dict)
    rain: Rain = Rain()
    resources: tuple[Resource, ...] = ()
    activities: tuple[Activity, ...] = Field(min_length=1)

    def calendar(self, name: str) -> Calendar:
        """The calendar of that name; the default one need not be written."""
        if name == DEFAULT_CALENDAR:
            return self.calendars.get(name, Calendar())
        return self.calendars[name]

    def by_id(self) -> dict[str, Activity]:
        """The activities by their ids."""
        return {activity.id: activity for activity in self.activities}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the input."""
    schema = Project.model_json_schema(by_alias=True)
    # A predecessor may be written as a link or, for a plain one, as an id.
    after = schema["$defs"]["Activity"]["properties"]["after"]
    after["items"] = {"anyOf": [after["items"], {"type": "string", "minLength": 1}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
