"""The input of handson-generate: projects as people write them.

What the fields mean is in docs/jobs/handson-generate.md; `python -m tasks.jobs.generation.handson.project`
prints the JSON Schema.
"""

import json
import sys
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_TASKS: Final = 500
MOST_PROJECTS: Final = 200

# An id becomes a file name and part of an address.
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Line = Annotated[str, Field(min_length=1, max_length=300)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Task(_Strict):
    """One part of a guide: what to write, after which others, found with which searches, in which form."""

    id: Id
    title: Line
    instruction: Text
    after: tuple[Id, ...] = ()
    # Empty: one search for the titles of task and project. [] written down: none.
    search: tuple[Line, ...] | None = None
    output: Literal["markdown", "json", "yaml"] = "markdown"
    # JSON Schema of an object, for json and yaml; a general form if there is none.
    form: dict[str, Any] | None = Field(default=None, alias="schema")
    max_tokens: int = Field(default=2_000, ge=16, le=200_000)
    timeout_seconds: float = Field(default=300, gt=0, le=3_600)
    # How much work it is beside the others: for the time that is left.
    weight: float = Field(default=1.0, gt=0, le=1_000)

    @model_validator(mode="after")
    def _form_fits(self) -> Self:
        if self.form is not None and self.output == "markdown":
            raise ValueError("a schema needs output json or yaml")
        if self.form is not None and self.form.get("type") != "object":
            raise ValueError('the schema must be one of an object ("type": "object")')
        return self


class Project(_Strict):
    """A guide: its tasks, or a topic from which the usual tasks follow."""

    id: Id
    title: Line
    goal: str = Field(default="", max_length=20_000)
    audience: str = Field(default="", max_length=2_000)
    language: Literal["ja", "en"] = "ja"
    # A project of priority 2 gets twice the share of one of priority 1.
    priority: int = Field(default=1, ge=1, le=100)
    tasks: tuple[Task, ...] = Field(min_length=1, max_length=MOST_TASKS)


class Projects(_Strict):
    """A file of several projects."""

    projects: tuple[Project, ...] = Field(min_length=1, max_length=MOST_PROJECTS)


if __name__ == "__main__":
    json.dump(Projects.model_json_schema(by_alias=True), sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")
