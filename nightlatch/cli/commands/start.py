"""`run` and `redrive`: start a run now."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import JobArgument, ReasonOption, RunArgument
from nightlatch.cli.attendance import Attend, attend
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.known import known_jobs, need_job
from nightlatch.cli.registration import command
from nightlatch.cli.times import parse_duration
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.errors import OperationError, nearest
from nightlatch.operations.executions import find_run, read_run
from nightlatch.operations.start import Started, StartRequest, operator_name, plan_start, start_run


class OnConflict(StrEnum):
    """What to do when another run holds the lock."""

    SKIP = "skip"
    WAIT = "wait"
    REPLACE = "replace"
    FAIL = "fail"


OnConflictOption = Annotated[
    OnConflict | None,
    typer.Option("--on-conflict", help="When another run holds the lock; by default as the job says."),
]
WaitLockOption = Annotated[
    str | None,
    typer.Option(
        "--wait-lock", metavar="DURATION", help="Wait so long for the lock; implies --on-conflict wait."
    ),
]
ParamOption = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter; may be repeated.")
]
ParamsFileOption = Annotated[
    str | None,
    typer.Option("--params-file", metavar="FILE", help="Parameters as a JSON object of texts; - is stdin."),
]
WaitFlag = Annotated[bool, typer.Option("--wait", help="Wait for the end, silently.")]
WatchFlag = Annotated[bool, typer.Option("--watch", help="Stay with it and show its progress.")]
LogsFlag = Annotated[bool, typer.Option("--logs", help="Stay with it and show its log.")]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="Stay at most so long; the run goes on.")
]
RequestIdOption = Annotated[
    str | None,
    typer.Option("--request-id", metavar="ID", help="Names this request: repeating it starts nothing twice."),
]
FailOnSkipFlag = Annotated[bool, typer.Option("--fail-on-skip", help="Status 11 when the run is skipped.")]
DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Show the request to AWS; start nothing.")]


@command(
    tree.app,
    "run",
    panel=tree.DAILY,
    examples=[
        "nightlatch run nightly-articles --watch",
        "nightlatch run nightly-articles -p fresh-for=0 --reason 'the image host was rebuilt' --wait",
        "nightlatch run nightly-articles --on-conflict wait --wait-lock 2h --logs",
        "nightlatch run nightly-articles --request-id ci-4711 --wait --timeout 30m --fail-on-skip",
    ],
)
def run(
    invocation: Invocation,
    job: JobArgument,
    *,
    param: ParamOption = None,
    params_file: ParamsFileOption = None,
    on_conflict: OnConflictOption = None,
    wait_lock: WaitLockOption = None,
    resume_from: Annotated[
        str | None,
        typer.Option("--resume-from", metavar="STEP", help="Begin with this step; skip those before it."),
    ] = None,
    wait: WaitFlag = False,
    watch: WatchFlag = False,
    logs: LogsFlag = False,
    timeout: TimeoutOption = None,
    request_id: RequestIdOption = None,
    reason: ReasonOption = None,
    fail_on_skip: FailOnSkipFlag = False,
    dry_run: DryRunFlag = False,
) -> ExitCode:
    """Start a run now. The run id is printed first.

    Without --wait, --watch or --logs the command returns at once. With one of them, the run's end is the
    exit status.
    """
    need_job(invocation, job)
    _check_step(invocation, job, resume_from)
    request = StartRequest(
        job=job,
        params=_params(param or [], params_file),
        on_conflict=_policy(on_conflict, wait_lock),
        max_wait_seconds=None if wait_lock is None else parse_duration(wait_lock, "--wait-lock"),
        resume_from=resume_from,
        request_id=request_id,
        reason=reason,
        requested_by=operator_name(),
    )
    return _start(
        invocation, request, _how(wait, watch, logs), timeout, fail_on_skip=fail_on_skip, dry_run=dry_run
    )


@command(
    tree.app,
    "redrive",
    panel=tree.DAILY,
    examples=[
        "nightlatch redrive nightly-articles-20261121T210000Z-3f9a2c --watch",
        "nightlatch redrive nightly-articles-20261121T210000Z-3f9a2c --from check --wait",
    ],
)
def redrive(
    invocation: Invocation,
    run_id: RunArgument,
    *,
    from_step: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP", help="Begin here; by default at the step that failed."),
    ] = None,
    on_conflict: OnConflictOption = None,
    wait_lock: WaitLockOption = None,
    wait: WaitFlag = False,
    watch: WatchFlag = False,
    logs: LogsFlag = False,
    timeout: TimeoutOption = None,
    request_id: RequestIdOption = None,
    reason: ReasonOption = None,
    fail_on_skip: FailOnSkipFlag = False,
    dry_run: DryRunFlag = False,
) -> ExitCode:
    """Start a new run where a failed one stopped, with the same parameters.

    It takes the lock like any other run, which Step Functions' own redrive does not.
    """
    deployment = invocation.deployment
    before = find_run(deployment, run_id, known_jobs(invocation))
    if before.running:
        raise OperationError(
            "USE-001", f"{before.run} is still running", tries=[f"nightlatch watch {before.run}"]
        )
    # Its record has no parameters; the execution has, as long as Step Functions remembers it.
    full = read_run(deployment, before.job, before.run) or before
    step = from_step or before.step
    _check_step(invocation, before.job, step)
    request = StartRequest(
        job=before.job,
        params=full.params,
        on_conflict=_policy(on_conflict, wait_lock),
        max_wait_seconds=None if wait_lock is None else parse_duration(wait_lock, "--wait-lock"),
        resume_from=step,
        resume_of=full.series or before.run,
        request_id=request_id,
        reason=reason or f"redrive of {before.run}",
        requested_by=operator_name(),
    )
    return _start(
        invocation, request, _how(wait, watch, logs), timeout, fail_on_skip=fail_on_skip, dry_run=dry_run
    )


def _start(
    invocation: Invocation,
    request: StartRequest,
    how: Attend | None,
    timeout: str | None,
    *,
    fail_on_skip: bool,
    dry_run: bool,
) -> ExitCode:
    seconds = None if timeout is None else parse_duration(timeout, "--timeout")
    if seconds is not None and how is None:
        raise OperationError("USE-001", "--timeout needs --wait, --watch or --logs")
    deployment = invocation.deployment
    if dry_run:
        invocation.talk.note("nothing was started; this is the request to StartExecution")
        plan = plan_start(deployment, request)
        if invocation.out.machine:
            invocation.out.document("start_plan", plan)
        else:
            invocation.out.facts([("machine", plan.state_machine_arn), ("name", plan.name)])
            invocation.out.raw(json.dumps(plan.input, indent=2, ensure_ascii=False) + "\n")
        return ExitCode.OK
    started = start_run(deployment, request)
    _announce(invocation, started, waiting=how is not None)
    if how is None:
        invocation.talk.hint(f"nightlatch watch {started.run}")
        return ExitCode.OK
    found = find_run(deployment, started.run, {request.job})
    return attend(invocation, found, how, timeout=seconds, fail_on_skip=fail_on_skip)


def _announce(invocation: Invocation, started: Started, *, waiting: bool) -> None:
    """The run id first, whatever else follows."""
    if not invocation.out.machine:
        invocation.out.line(started.run)
    elif invocation.out.form.value == "jsonl" or not waiting:
        invocation.out.document("started", started)
    else:
        # A single JSON document comes at the end; the id must not wait for it.
        invocation.talk.note(started.run)
    what = "this request was made before; it is" if started.repeated else "started"
    invocation.talk.note(f"{what} {started.run} in {invocation.settings.env}")


def _how(wait: bool, watch: bool, logs: bool) -> Attend | None:  # noqa: FBT001  three switches of one choice
    chosen = [
        how for how, given in ((Attend.WAIT, wait), (Attend.WATCH, watch), (Attend.LOGS, logs)) if given
    ]
    if len(chosen) > 1:
        raise OperationError("USE-001", "--wait, --watch and --logs exclude each other")
    return chosen[0] if chosen else None


def _policy(on_conflict: OnConflict | None, wait_lock: str | None) -> str | None:
    if wait_lock is None:
        return on_conflict.value if on_conflict else None
    if on_conflict not in (None, OnConflict.WAIT):
        raise OperationError("USE-001", f"--wait-lock does not go with --on-conflict {on_conflict.value}")
    return OnConflict.WAIT.value


def _check_step(invocation: Invocation, job: str, step: str | None) -> None:
    """Refuse an unknown step at once, when the jobs file can tell."""
    catalog = invocation.maybe_catalog
    if step is None or catalog is None or job not in catalog.jobs:
        return
    names = [known.name for known in catalog.jobs[job].steps]
    if step not in names:
        guess = nearest(step, names)
        tries = [f"did you mean {guess}?"] if guess else []
        raise OperationError(
            "USE-001", f"{job} has no step {step!r}", facts=[("steps", ", ".join(names))], tries=tries
        )


def _params(pairs: list[str], file: str | None) -> dict[str, str]:
    params: dict[str, str] = {}
    if file is not None:
        params.update(_read_params(file))
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise OperationError("USE-001", f"--param takes KEY=VALUE, not {pair!r}")
        params[key] = value
    return params


def _read_params(file: str) -> dict[str, str]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        parsed: Any = json.loads(text)
    except (OSError, ValueError) as error:
        raise OperationError(
            "USE-001", f"--params-file {file} cannot be read", facts=[("why", str(error))]
        ) from None
    if not isinstance(parsed, dict) or not all(isinstance(value, str) for value in parsed.values()):
        raise OperationError(
            "USE-001",
            f"--params-file {file} must be a JSON object of texts",
            facts=[("example", '{"since": "2026-11-01"}')],
        )
    return parsed
