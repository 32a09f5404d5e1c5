"""`local`: the local AWS on this machine."""

import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import YesOption
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.registration import command
from nightlatch.cli.times import parse_duration
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.errors import OperationError
from nightlatch.operations.local_server import (
    LocalServer,
    read_server,
    remove_state,
    start_server,
    stop_server,
    wait_until_up,
)

# A first start compiles and loads moto; on a busy laptop that takes a while.
_START_SECONDS = 60.0
# Containers get SIGTERM and up to two minutes of grace before the server itself ends.
_STOP_SECONDS = 150.0


@command(
    tree.local,
    "local",
    "up",
    examples=[
        "nightlatch local up",
        "nightlatch local up --detach",
        "nightlatch local up --detach --port 0 --state /tmp/night",
    ],
)
def up(
    invocation: Invocation,
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is up; it goes on.")] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", min=0, max=65535, help="Loopback port; 0 takes a free one."),
    ] = None,
    runner: Annotated[
        str | None, typer.Option("--runner", metavar="NAME", help="Who runs tasks: process or docker.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="NAME=DIR", help="A folder that stands for an image."),
    ] = None,
    workdir: Annotated[
        Path | None, typer.Option("--workdir", metavar="DIR", help="Where tasks of our own image start.")
    ] = None,
    states_endpoint: Annotated[
        str | None, typer.Option("--states-endpoint", metavar="URL", help="Another Step Functions engine.")
    ] = None,
    no_provision: Annotated[
        bool, typer.Option("--no-provision", help="Only the server: no tables, no jobs.")
    ] = False,
) -> ExitCode:
    """Start the local AWS and put the jobs of the jobs file on it.

    When it runs already, its jobs are brought up to date. In the foreground, Ctrl-C stops it.
    """
    _only_local(invocation)
    if not no_provision:
        # A mistake in the jobs file is told before anything is started.
        _ = invocation.catalog
    state = invocation.state_folder
    process: subprocess.Popen[bytes] | None = None
    server = read_server(state)
    if server.running:
        invocation.talk.note(f"the local AWS is already running at {server.url}")
    else:
        options = _options(port, runner, image or [], workdir, states_endpoint)
        process = start_server(state, options, region=invocation.settings.region, detach=detach)
        try:
            server = wait_until_up(state, process, _START_SECONDS)
        except KeyboardInterrupt:
            process.terminate()
            raise
        invocation.talk.note(f"the local AWS is up at {server.url}")
    try:
        if not no_provision:
            _provision(invocation, server)
    except BaseException:
        # Half an installation is no installation: what this command started, it ends.
        if process is not None:
            process.terminate()
            process.wait()
        raise
    _show(invocation, server)
    if process is None or detach:
        invocation.talk.hint("nightlatch jobs")
        return ExitCode.OK
    invocation.talk.note("Ctrl-C stops it")
    return _stay(process)


def _stay(process: subprocess.Popen[bytes]) -> ExitCode:
    """Wait for the server; SIGINT and SIGTERM to us become SIGTERM to it."""

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    status = process.wait()
    return ExitCode.OK if status in (0, -signal.SIGTERM) else ExitCode.FAILED


def _options(
    port: int | None,
    runner: str | None,
    images: list[str],
    workdir: Path | None,
    states_endpoint: str | None,
) -> list[str]:
    options: list[str] = []
    if port is not None:
        options += ["--port", str(port)]
    if runner is not None:
        options += ["--runner", runner]
    for image in images:
        options += ["--image", image]
    if workdir is not None:
        options += ["--workdir", str(workdir)]
    if states_endpoint is not None:
        options += ["--states-endpoint", states_endpoint]
    return options


def _provision(invocation: Invocation, server: LocalServer) -> None:
    from nightlatch.installation import LOCAL_ACCOUNT, Installation  # noqa: PLC0415  with the rest below
    from nightlatch.local.provision import provision  # noqa: PLC0415  it needs the extra `local`
    from nightlatch.operations.clients import Clients  # noqa: PLC0415  boto3 is slow to import

    region = invocation.settings.region or invocation.environ.get("AWS_DEFAULT_REGION")
    clients = Clients.at_endpoint(str(server.url), region=region)
    installation = Installation.conventional("local", LOCAL_ACCOUNT, clients.region)
    changes = provision(invocation.catalog, installation, clients)
    for change in changes:
        invocation.talk.detail(str(change))
    count = len(invocation.catalog.jobs)
    done = f"{len(changes)} changes" if changes else "nothing to change"
    invocation.talk.note(f"{count} job{'s' if count != 1 else ''} in place: {done}")


@command(
    tree.local,
    "local",
    "status",
    examples=["nightlatch local status", "export AWS_ENDPOINT_URL=$(nightlatch local status -o name)"],
)
def status(invocation: Invocation) -> ExitCode:
    """Say whether the local AWS runs, and where. Ends with status 5 when it does not."""
    server = read_server(invocation.state_folder)
    if not server.running:
        raise OperationError(
            "LOCAL-001",
            "the local AWS is not running",
            facts=[("state", str(server.state))],
            tries=["nightlatch local up --detach"],
        )
    _show(invocation, server)
    return ExitCode.OK


@command(
    tree.local,
    "local",
    "down",
    examples=["nightlatch local down", "nightlatch local down --timeout 30s"],
)
def down(
    invocation: Invocation,
    *,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="Wait at most so long. 150s")
    ] = None,
) -> ExitCode:
    """Stop the local AWS. Its state stays; running containers are stopped first."""
    seconds = _STOP_SECONDS if timeout is None else parse_duration(timeout, "--timeout")
    server = stop_server(invocation.state_folder, seconds)
    invocation.talk.note("the local AWS is down" if server.running else "the local AWS was not running")
    return ExitCode.OK


@command(
    tree.local,
    "local",
    "reset",
    examples=["nightlatch local reset", "nightlatch local reset --yes && nightlatch local up --detach"],
)
def reset(invocation: Invocation, *, yes: YesOption = False) -> ExitCode:
    """Stop the local AWS and delete its state: locks, runs, logs, results."""
    state = invocation.state_folder
    if not invocation.talk.confirm(f"delete everything in {state}?", yes=yes):
        invocation.talk.note("nothing was deleted")
        return ExitCode.FAILED
    stop_server(state, _STOP_SECONDS)
    remove_state(state)
    invocation.talk.note(f"{state} is gone")
    invocation.talk.hint("nightlatch local up --detach")
    return ExitCode.OK


def _show(invocation: Invocation, server: LocalServer) -> None:
    def view(shown: LocalServer) -> None:
        invocation.out.facts(
            [
                ("endpoint", shown.url),
                ("pid", shown.pid),
                ("state", str(shown.state)),
                ("started", shown.started_at),
            ]
        )

    invocation.out.record("local_server", server, name=str(server.url), view=view)


def _only_local(invocation: Invocation) -> None:
    if not invocation.settings.local:
        raise OperationError(
            "USE-001",
            f"`local up` serves the environment local, not {invocation.settings.env}",
            tries=["unset NIGHTLATCH_ENV", "--env local"],
        )
