"""Where the value of each shared option comes from.

Precedence: an option after the command, an option before the command, the variable NIGHTLATCH_…, the default.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightlatch.operations.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Format(StrEnum):
    """How data is written to stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    NAME = "name"


class TimeStyle(StrEnum):
    """How a moment is written."""

    RELATIVE = "relative"
    LOCAL = "local"
    UTC = "utc"
    ISO = "iso"


class Color(StrEnum):
    """When colour is used."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class SharedOption:
    """One option that every command takes.

    Attributes:
        name: Its name in `Settings`.
        flags: Its spellings on the command line.
        kind: ``str``, ``path``, ``flag``, or the enum of its values.
        variable: The environment variable that gives it a value.
        help: One line for `--help`.
    """

    name: str
    flags: tuple[str, ...]
    kind: type[Any]
    variable: str
    help: str

    @property
    def metavar(self) -> str | None:
        """What stands for the value in `--help`; None shows the choices."""
        return {str: "NAME", Path: "PATH", bool: ""}.get(self.kind)


# NIGHTLATCH_OUTPUT is taken: inside a container it names the place for a step's results.
SHARED: tuple[SharedOption, ...] = (
    SharedOption("env", ("--env",), str, "NIGHTLATCH_ENV", "Environment; local without it."),
    SharedOption(
        "file", ("--file",), Path, "NIGHTLATCH_FILE", "Jobs file, if not the first jobs.yaml upwards."
    ),
    SharedOption("profile", ("--profile",), str, "NIGHTLATCH_PROFILE", "AWS profile."),
    SharedOption("region", ("--region",), str, "NIGHTLATCH_REGION", "AWS region."),
    SharedOption("state", ("--state",), Path, "NIGHTLATCH_STATE", "State folder of the local AWS."),
    SharedOption("output", ("--output", "-o"), Format, "NIGHTLATCH_FORMAT", "How to write data."),
    SharedOption("time", ("--time",), TimeStyle, "NIGHTLATCH_TIME", "How to write moments."),
    SharedOption("color", ("--color",), Color, "NIGHTLATCH_COLOR", "When to use colour."),
    SharedOption("quiet", ("--quiet", "-q"), bool, "NIGHTLATCH_QUIET", "Data and errors only."),
    SharedOption("verbose", ("--verbose", "-v"), bool, "NIGHTLATCH_VERBOSE", "Say more on stderr."),
    SharedOption("debug", ("--debug",), bool, "NIGHTLATCH_DEBUG", "Show stack traces."),
    SharedOption("no_input", ("--no-input",), bool, "NIGHTLATCH_NO_INPUT", "Never ask."),
)

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True)
class Settings:
    """The value of every shared option for one command.

    Attributes:
        time: None means: relative on a terminal, ISO 8601 in a pipe.
    """

    env: str = "local"
    file: Path | None = None
    profile: str | None = None
    region: str | None = None
    state: Path | None = None
    output: Format = Format.TABLE
    time: TimeStyle | None = None
    color: Color = Color.AUTO
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    no_input: bool = False

    @property
    def local(self) -> bool:
        """Whether the environment is the local AWS of this machine."""
        return self.env == "local"

    @classmethod
    def resolve(
        cls,
        after: Mapping[str, Any],
        before: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Settle every option.

        Args:
            after: Values given after the command; None means not given.
            before: Values given before the command; None means not given.
            environ: The environment; by default the process's.

        Raises:
            OperationError: A variable has a value that the option does not take (USE-001).
        """
        variables = os.environ if environ is None else environ
        chosen: dict[str, Any] = {}
        for option in SHARED:
            value = after.get(option.name)
            if value is None:
                value = before.get(option.name)
            if value is None:
                value = _from_variable(option, variables.get(option.variable))
            if value is not None:
                chosen[option.name] = value
        return cls(**chosen)


def _from_variable(option: SharedOption, text: str | None) -> Any:
    if text is None or (text == "" and option.kind is not bool):
        return None
    if option.kind is bool:
        lowered = text.strip().lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return None
        raise _bad_variable(option, text, "1 or 0")
    if issubclass(option.kind, StrEnum):
        try:
            return option.kind(text)
        except ValueError:
            raise _bad_variable(option, text, ", ".join(member.value for member in option.kind)) from None
    return option.kind(text)


def _bad_variable(option: SharedOption, text: str, allowed: str) -> OperationError:
    return OperationError(
        "USE-001",
        f"{option.variable} has the value {text!r}, which {option.flags[0]} does not take",
        facts=[("allowed", allowed)],
        tries=[f"unset {option.variable}"],
    )
