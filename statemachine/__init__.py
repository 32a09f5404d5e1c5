"""How a run goes: three hand-written state machines, their rendering and their checks.

`job.asl.json` is one run of a job, `janitor.asl.json` cleans up after executions that could not, and
`watchdog.asl.json` notices what is missing. `interpreter/` runs such definitions in-process.
"""

from statemachine.render import VALUES, RenderError, render_janitor, render_job, render_watchdog

__all__ = ["VALUES", "RenderError", "render_janitor", "render_job", "render_watchdog"]
