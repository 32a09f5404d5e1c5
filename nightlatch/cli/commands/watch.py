"""`watch` and `logs`: stay with a run."""

import time
from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import RunOrJobArgument
from nightlatch.cli.attendance import Attend, attend, show_line
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import known_jobs
from nightlatch.cli.registration import command
from nightlatch.cli.times import parse_duration, parse_moment
from nightlatch.operations.attempts import Attempt, HistoryReader
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.container_logs import LogReader
from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import find_run, read_run
from nightlatch.operations.shards import ShardReader

_SETTLE_LOOKS = 3


@command(
    tree.app,
    "watch",
    panel=tree.DAILY,
    examples=[
        "nightlatch watch nightly-articles",
        "nightlatch watch nightly-articles-20261121T210000Z-3f9a2c --timeout 1h",
        "nightlatch watch nightly-articles -o jsonl | jq .progress.percent",
    ],
)
def watch(
    invocation: Invocation,
    run_or_job: RunOrJobArgument,
    *,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="Stop watching after so long; the run goes on."),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option("--interval", metavar="SECONDS", min=0.1, help="Seconds between two looks."),
    ] = None,
    fail_on_skip: Annotated[
        bool, typer.Option("--fail-on-skip", help="Status 11 when it was skipped.")
    ] = False,
) -> ExitCode:
    """Show a run live: steps, attempts, percent, time to go, lock and token.

    Redraws on a terminal and prints one line per change elsewhere. Ctrl-C detaches and never stops the
    run. The run's end is the exit status.
    """
    run = find_run(invocation.deployment, run_or_job, known_jobs(invocation))
    seconds = None if timeout is None else parse_duration(timeout, "--timeout")
    return attend(
        invocation, run, Attend.WATCH, timeout=seconds, interval=interval, fail_on_skip=fail_on_skip
    )


@command(
    tree.app,
    "logs",
    panel=tree.DAILY,
    examples=[
        "nightlatch logs nightly-articles --tail 50",
        "nightlatch logs nightly-articles -f",
        "nightlatch logs nightly-articles-20261121T210000Z-3f9a2c --step check --attempt 2",
        "nightlatch logs nightly-articles --since 30m -o jsonl",
        "nightlatch logs documents --step work --shard 17",
    ],
)
def logs(
    invocation: Invocation,
    run_or_job: RunOrJobArgument,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until the run ends.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Nothing older: a duration or a moment.")
    ] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=1, help="Only the last N lines of what is there.")
    ] = None,
    attempt: Annotated[
        int | None, typer.Option("--attempt", metavar="N", min=1, help="Only this attempt.")
    ] = None,
    step: Annotated[str | None, typer.Option("--step", metavar="STEP", help="Only this step.")] = None,
    shard: Annotated[
        int | None, typer.Option("--shard", metavar="N", min=0, help="Only this shard of a fan-out.")
    ] = None,
) -> ExitCode:
    """Show what the containers of a run say.

    Those of a fan-out are included, the failed shards first.
    """
    deployment = invocation.deployment
    run = find_run(deployment, run_or_job, known_jobs(invocation))
    history = HistoryReader(deployment, run.execution_arn)
    moment = None if since is None else parse_moment(since, "--since", invocation.now())
    reader = LogReader(deployment, run.job, since=moment, tail=tail)

    shards = ShardReader(deployment, shard)

    def wanted() -> list[Attempt]:
        trail = history.read()
        return [
            found
            for found in [*(trail.attempts if shard is None else ()), *shards.read(trail.map_runs)]
            if (step is None or found.step == step) and (attempt is None or found.number == attempt)
        ]

    particular = step is not None or attempt is not None or shard is not None
    attempts = wanted()
    if shards.left_out:
        invocation.talk.note(f"{shards.left_out} more shards are not shown; --shard N shows one")
    if not attempts and not (follow and run.running):
        raise OperationError(
            "LOG-001",
            f"{run.run} has no container{' like that' if particular else ''}, and so no log",
            tries=[f"nightlatch show {run.run}"],
        )
    lines = reader.read(attempts)
    for line in lines if tail is None else lines[-tail:]:
        show_line(invocation, line)
    silent = 0
    try:
        while follow and silent < _SETTLE_LOOKS:
            time.sleep(deployment.interval)
            if run.running:
                run = read_run(deployment, run.job, run.run) or run
            lines = reader.read(wanted())
            silent = 0 if lines or run.running else silent + 1
            for line in lines:
                show_line(invocation, line)
    except KeyboardInterrupt:
        invocation.talk.note("detached" + ("; the run goes on" if run.running else ""))
        return ExitCode.INTERRUPTED
    return ExitCode.OK
