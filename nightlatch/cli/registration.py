"""How a command is registered: shared options added, examples demanded, errors told, exit status returned."""

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Concatenate, ParamSpec, get_args

import typer
from rich.markup import escape
from typer.models import OptionInfo

from nightlatch.cli.invocation import Invocation
from nightlatch.cli.settings import SHARED, Settings, SharedOption
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.errors import OperationError

P = ParamSpec("P")

SHARED_PANEL = "Shared options"

# Every registered command by its words, for the generated page of the documentation and for tests.
EXAMPLES: dict[tuple[str, ...], tuple[str, ...]] = {}


def shared_parameter(option: SharedOption, *, keyword: bool = True) -> inspect.Parameter:
    """The typer parameter of one shared option."""
    declaration = typer.Option(
        *option.flags,
        help=option.help,
        show_default=False,
        rich_help_panel=SHARED_PANEL,
        metavar=option.metavar,
    )
    kind: Any = option.kind
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY if keyword else inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[kind | None, declaration],
    )


def with_shared_options(
    function: Callable[Concatenate[Invocation, P], ExitCode | None],
) -> Callable[..., None]:
    """A typer callback that takes the shared options as well and gives `function` an `Invocation`."""
    signature = inspect.signature(function)
    own = [_without_bool(parameter) for parameter in list(signature.parameters.values())[1:]]
    shared = [shared_parameter(option) for option in SHARED]

    @functools.wraps(function)
    def callback(context: typer.Context, **values: Any) -> None:
        after = {option.name: values.pop(option.name) for option in SHARED}
        before = context.find_root().obj or {}
        raise typer.Exit(guarded(after, before, functools.partial(_call, function, values)))

    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *shared,
    ]
    rewritten: Any = callback
    rewritten.__signature__ = signature.replace(parameters=parameters, return_annotation=None)
    rewritten.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del rewritten.__wrapped__
    return callback


def _without_bool(parameter: inspect.Parameter) -> inspect.Parameter:
    """A switch takes no value, so its help names no type."""
    for declaration in getattr(parameter.annotation, "__metadata__", ()):
        if isinstance(declaration, OptionInfo) and get_args(parameter.annotation)[0] is bool:
            declaration.metavar = ""
    return parameter


def _call(
    function: Callable[..., ExitCode | None], values: dict[str, Any], invocation: Invocation
) -> ExitCode:
    return function(invocation, **values) or ExitCode.OK


def command(
    app: typer.Typer, *words: str, examples: Sequence[str], panel: str | None = None
) -> Callable[[Callable[Concatenate[Invocation, P], ExitCode | None]], Callable[..., None]]:
    """Register a function as a command.

    The function's first parameter is the `Invocation`; the others are typer's. Its docstring is the help
    text.

    Args:
        app: The group the command belongs to.
        words: The command's words after `nightlatch`; the last one is its name in the group.
        examples: Complete command lines, each with what it does after two spaces and a `#`, or without.
        panel: The panel of the group's help that lists the command.
    """

    def register(
        function: Callable[Concatenate[Invocation, P], ExitCode | None],
    ) -> Callable[..., None]:
        callback = with_shared_options(function)
        EXAMPLES[words] = tuple(examples)
        app.command(
            words[-1],
            help=_prose(inspect.getdoc(function) or ""),
            epilog="Examples:\n\n" + "\n".join(f"  {escape(example)}" for example in examples),
            rich_help_panel=panel,
        )(callback)
        return callback

    return register


def _prose(text: str) -> str:
    """Paragraphs without the line breaks of the source file."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def guarded(
    after: dict[str, Any], before: dict[str, Any], body: Callable[[Invocation], ExitCode]
) -> ExitCode:
    """Run a command's body; tell its errors on stderr and turn them into an exit status."""
    invocation = Invocation(Settings())
    try:
        invocation = Invocation(Settings.resolve(after, before))
        invocation.set_up_logging()
        return body(invocation)
    except OperationError as error:
        return tell(invocation, error)
    except BrokenPipeError:
        # The reader of our stdout is gone, for example `head`. Nothing is wrong, and nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KeyboardInterrupt:
        invocation.talk.note("interrupted")
        return ExitCode.INTERRUPTED
    except typer.Exit:
        raise
    except Exception as error:  # noqa: BLE001  the outermost edge: people get sentences, not stack traces
        return tell(invocation, told(invocation, error), cause=error)


def tell(invocation: Invocation, error: OperationError, cause: Exception | None = None) -> ExitCode:
    """Show an error and give its exit status."""
    if invocation.settings.debug:
        traceback.print_exception(cause or error, file=sys.stderr)
    invocation.talk.error(error)
    return error.exit_code


def told(invocation: Invocation, error: Exception) -> OperationError:
    """The error as an `OperationError`, whatever raised it."""
    from nightlatch.cli.foreign_errors import as_operation_error  # noqa: PLC0415  it imports botocore

    return as_operation_error(error, invocation)
