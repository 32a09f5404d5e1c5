"""How a run goes: three hand-written state machines, their rendering and their checks.

`job.asl.json` is one run of a job, `janitor.asl.json` cleans up after executions that could not, and
`watchdog.asl.json` notices what is missing. `interpreter/` runs such definitions in-process.
"""

from typing import TYPE_CHECKING

from statemachine.render import VALUES, RenderError, render_janitor, render_job, render_watchdog

if TYPE_CHECKING:
    from statemachine.checks import Problem

__all__ = ["VALUES", "RenderError", "check", "render_janitor", "render_job", "render_watchdog"]


def check(text: str) -> list["Problem"]:
    """Every problem of a rendered definition; see `statemachine.checks`."""
    from statemachine.checks import check as examine  # noqa: PLC0415 - heavy, and rendering must start fast

    return examine(text)
