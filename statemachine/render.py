r"""Fills the placeholders of a definition, byte for byte as Terraform does.

Terraform's side, tested against this one:

    replace(replace(
      templatefile("job.asl.json", merge(values, { settings = "@settings@", run_timeout_seconds = "@t@" })),
      "\"@settings@\"", jsonencode(settings)),
      "\"@t@\"", settings.run_timeout_seconds)
"""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

VALUES: Final = frozenset(
    {
        "account",
        "assign_public_ip",
        "bucket",
        "cluster",
        "lock_table",
        "partition",
        "prefix",
        "region",
        "runs_table",
        "security_group_ids",
        "subnet_ids",
        "topic_arn",
    }
)
"""The placeholders that stand inside a JSON string. A definition uses those that it needs."""

_PLACEHOLDER: Final = re.compile(r'"\$\{(settings|run_timeout_seconds)\}"|\$\{([^}]*)\}')
# A value lands inside a JSON string, often inside a JSONata text in it: what could end either is refused.
_SAFE: Final = re.compile(r"[A-Za-z0-9_.:/,@=+-]*")


class RenderError(ValueError):
    """A definition cannot be rendered with what was given."""


def template(name: str) -> str:
    """The hand-written text of `job`, `janitor` or `watchdog`, with its placeholders."""
    return files("statemachine").joinpath(f"{name}.asl.json").read_text(encoding="utf-8")


def render_job(settings: Mapping[str, Any], values: Mapping[str, str]) -> str:
    """The state machine of one job.

    Args:
        settings: the job's literal: job, lock_key, on_conflict, max_wait_seconds, max_waiters, lease_seconds,
            run_timeout_seconds, steps[] (name, family, timeout_seconds, stop_grace_seconds, retry,
            retry_wait).
        values: the installation's names, by placeholder; more than are used may be given.

    Returns:
        A complete definition as JSON text.

    Raises:
        RenderError: a placeholder has no value, or a value cannot stand inside a JSON string.
    """
    literals = {
        "settings": jsonencode(settings),
        "run_timeout_seconds": jsonencode(settings["run_timeout_seconds"]),
    }
    return _fill(template("job"), values, literals)


def render_janitor(values: Mapping[str, str]) -> str:
    """The state machine that cleans up after executions that could not.

    Raises:
        RenderError: as for `render_job`.
    """
    return _fill(template("janitor"), values, {})


def render_watchdog(values: Mapping[str, str]) -> str:
    """The state machine that notices a run that is missing.

    Raises:
        RenderError: as for `render_job`.
    """
    return _fill(template("watchdog"), values, {})


def jsonencode(value: Any) -> str:
    """JSON text as Terraform's function of this name writes it.

    Compact, keys sorted, and what HTML could misread escaped.

    Source: https://developer.hashicorp.com/terraform/language/functions/jsonencode
    """
    text = json.dumps(_numbers(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _numbers(value: Any) -> Any:
    """Terraform knows one kind of number and writes 2.0 as 2."""
    if isinstance(value, Mapping):
        return {key: _numbers(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fill(text: str, values: Mapping[str, str], literals: Mapping[str, str]) -> str:
    def value_of(found: re.Match[str]) -> str:
        literal, name = found.groups()
        if literal is not None:
            if literal not in literals:
                raise RenderError(f"${{{literal}}} stands in a definition that has no such literal")
            return literals[literal]
        if name not in values:
            raise RenderError(f"${{{name}}} has no value: give one of that name in values")
        if not _SAFE.fullmatch(values[name]):
            raise RenderError(
                f"the value of ${{{name}}}, {values[name]!r}, holds a character that may not stand in a"
                " definition: use letters, digits and _ . : / , @ = + -"
            )
        return values[name]

    return _PLACEHOLDER.sub(value_of, text)
