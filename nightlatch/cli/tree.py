"""The groups that commands are registered in."""

import inspect
from typing import Annotated, Any

import typer

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


app = typer.Typer(
    name="nightlatch",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
    help="Run batch jobs that never run twice at once, never for ever, and never silently not at all.",
    epilog="Every command shows examples: nightlatch COMMAND --help",
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


_version = typer.Option("--version", "-V", help="Show the version.", callback=_show_version, is_eager=True)
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
