"""`stop`: end a run."""

from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import ReasonOption, RunOrJobArgument, YesOption
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import known_jobs
from nightlatch.cli.registration import command
from nightlatch.cli.times import parse_duration, span
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import find_run
from nightlatch.operations.start import operator_name
from nightlatch.operations.stop import GRACEFUL_WAIT, Stopped, StopRequest, stop_run


@command(
    tree.app,
    "stop",
    panel=tree.DAILY,
    examples=[
        "nightlatch stop nightly-articles-20261121T210000Z-3f9a2c --reason 'wrong parameters'",
        "nightlatch stop nightly-articles --kill --yes --reason 'ignores SIGTERM'",
    ],
)
def stop(
    invocation: Invocation,
    run_or_job: RunOrJobArgument,
    *,
    kill: Annotated[
        bool,
        typer.Option("--kill", help="Stop the execution at once, without letting the container end well."),
    ] = False,
    wait: Annotated[
        str | None, typer.Option("--wait", metavar="DURATION", help="Wait at most so long for the end. 150s")
    ] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
) -> ExitCode:
    """Stop a run and wait until it has ended.

    Its container gets SIGTERM and the grace of its step, writes its checkpoint, and is killed only after
    that. The lock is freed when it is gone.
    """
    deployment = invocation.deployment
    run = find_run(deployment, run_or_job, known_jobs(invocation))
    verb = "kill" if kill else "stop"
    if run.running and not invocation.talk.confirm(
        f"{verb} {run.run}, running for {span(run.seconds(invocation.now()))}?", yes=yes
    ):
        invocation.talk.note("nothing was stopped")
        return ExitCode.FAILED
    if run.running and reason is None:
        reason = invocation.talk.ask("why?") or None
    request = StopRequest(
        by=operator_name(),
        reason=reason,
        kill=kill,
        wait_seconds=GRACEFUL_WAIT if wait is None else parse_duration(wait, "--wait"),
    )
    invocation.talk.detail(f"stopping {run.run}")
    stopped = stop_run(deployment, run, request)
    if stopped.run.running:
        raise OperationError(
            "RUN-004",
            f"{run.run} was told to stop and is still running",
            tries=[f"nightlatch watch {run.run}", f"nightlatch stop {run.run} --kill"],
        )

    def view(shown: Stopped) -> None:
        invocation.out.facts(
            [
                ("run", shown.run.run),
                ("outcome", shown.run.outcome.value),
                ("stopped", shown.how.value),
                ("by", shown.by),
                ("reason", shown.reason),
                ("ended", shown.run.ended_at),
            ]
        )

    invocation.out.record("stopped", stopped, name=stopped.run.run, view=view)
    invocation.talk.hint(f"nightlatch show {run.run}")
    return ExitCode.OK
