"""The groups that commands are registered in."""

import inspect
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nightlatch import __version__
from nightlatch.cli.registration import shared_parameter
from nightlatch.cli.settings import SHARED

DAILY = "Every day"
OVERSIGHT = "Locks and schedules"
DEFINITION = "Definition"
MACHINE = "This machine"
HELP = "Help"

_CONTEXT = {"help_option_names": ["-h", "--help"]}


def _group(name: str, summary: str) -> typer.Typer:
    return typer.Typer(
        name=name, help=summary, no_args_is_help=True, rich_markup_mode="rich", context_settings=_CONTEXT
    )


class _InOrder(TyperGroup):
    """Lists commands by panel, those of every day first."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  typer calls it so
        panels = [DAILY, OVERSIGHT, DEFINITION, MACHINE, HELP]

        def place(name: str) -> int:
            panel = getattr(self.commands[name], "rich_help_panel", None)
            return panels.index(panel) if panel in panels else len(panels)

        return sorted(self.commands, key=place)


app = typer.Typer(
    name="nightlatch",
    cls=_InOrder,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
    help="Run batch jobs that never run twice at once, never for ever, and never silently not at all.",
    epilog="Every command shows examples: nightlatch COMMAND --help\n"
    "Shared options may stand before or after the command, or in variables: nightlatch help environment\n"
    "Exit status: nightlatch help exit-codes",
)
locks = _group("locks", "Look at locks, and free one by force.")
schedule = _group("schedule", "See when jobs start, and hold them back.")
render = _group("render", "Write what is made from the jobs file.")
local = _group("local", "Start, look at and stop the local AWS.")

app.add_typer(locks, rich_help_panel=OVERSIGHT)
app.add_typer(schedule, rich_help_panel=OVERSIGHT)
app.add_typer(render, rich_help_panel=DEFINITION)
app.add_typer(local, rich_help_panel=MACHINE)


def _show_version(value: bool) -> None:  # noqa: FBT001  typer calls it so
    if value:
        typer.echo(f"nightlatch {__version__}")
        raise typer.Exit


def _root(context: typer.Context, **values: Any) -> None:
    values.pop("version")
    context.obj = values


_version = typer.Option(
    "--version", "-V", metavar="", help="Show the version.", callback=_show_version, is_eager=True
)
_parameters = [
    inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
    inspect.Parameter(
        "version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, _version]
    ),
    *(shared_parameter(option) for option in SHARED),
]
_rewritten: Any = _root
_rewritten.__signature__ = inspect.Signature(_parameters)
_rewritten.__annotations__ = {parameter.name: parameter.annotation for parameter in _parameters}
app.callback()(_root)
