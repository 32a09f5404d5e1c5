"""`validate` and `render`: what the jobs file says and what is made from it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import JobArgument
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.registration import command
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.errors import OperationError, no_such_job

if TYPE_CHECKING:
    from nightlatch.catalog import Job
    from nightlatch.installation import Installation


@dataclass(frozen=True)
class Validation:
    """What `validate` found, as JSON shows it."""

    file: str
    environment: str
    valid: bool
    jobs: list[str]
    problems: list[Any]


AccountOption = Annotated[
    str | None,
    typer.Option("--account", metavar="ID", help="AWS account of the names; by default the installation's."),
]


@command(
    tree.app,
    "validate",
    panel=tree.DEFINITION,
    examples=["nightlatch validate", "nightlatch validate --env prod --file jobs.yaml -o json"],
)
def validate(invocation: Invocation) -> ExitCode:
    """Check the jobs file and the state machines made from it. Shows every mistake at once.

    Warns of schedules that a change of clocks skips or repeats. Needs no AWS. Ends with status 6 when
    something is wrong.
    """
    from nightlatch.catalog import CatalogError  # noqa: PLC0415  pydantic is slow to import
    from nightlatch.installation import LOCAL_ACCOUNT, LOCAL_REGION, Installation  # noqa: PLC0415
    from nightlatch.operations.definitions import check_definitions  # noqa: PLC0415
    from nightlatch.operations.firings import first_trick  # noqa: PLC0415

    path = invocation.need_jobs_file()
    try:
        catalog = invocation.catalog
    except CatalogError as error:
        if not invocation.out.machine:
            raise
        result = Validation(
            str(path), invocation.settings.env, valid=False, jobs=[], problems=list(error.problems)
        )
        invocation.out.document("validation", result)
        return ExitCode.INVALID
    # The names of the account are irrelevant to validity; any twelve digits do.
    installation = Installation.conventional(invocation.settings.env, LOCAL_ACCOUNT, LOCAL_REGION)
    problems = check_definitions(catalog, installation)
    if invocation.out.machine:
        result = Validation(
            str(path), invocation.settings.env, valid=not problems, jobs=list(catalog.jobs), problems=problems
        )
        invocation.out.document("validation", result)
        return ExitCode.INVALID if problems else ExitCode.OK
    if problems:
        facts = [(problem.job, problem.message) for problem in problems]
        raise OperationError("FILE-003", "a rendered state machine is invalid", facts=facts)
    for name, job in catalog.jobs.items():
        invocation.out.line(name)
        trick = first_trick(job, invocation.now())
        if trick is not None:
            zone = job.schedule.timezone if job.schedule else ""
            invocation.talk.warning(f"{name} at {trick.local} {zone}: {trick.note}")
    count = len(catalog.jobs)
    invocation.talk.note(
        f"{path} is valid for {invocation.settings.env}: {count} job{'s' if count != 1 else ''}"
    )
    return ExitCode.OK


@command(
    tree.render,
    "render",
    "asl",
    examples=[
        "nightlatch render asl nightly-articles",
        "nightlatch render asl nightly-articles --env prod --deployed | jq .States",
    ],
)
def asl(
    invocation: Invocation,
    job: JobArgument,
    *,
    account: AccountOption = None,
    deployed: Annotated[bool, typer.Option("--deployed", help="Read it from AWS instead.")] = False,
) -> None:
    """Write the job's state machine in Amazon States Language."""
    text = _definition(invocation, job, account=account, deployed=deployed)
    invocation.out.raw(text if text.endswith("\n") else text + "\n")


@command(
    tree.render,
    "render",
    "graph",
    examples=[
        "nightlatch render graph nightly-articles",
        "nightlatch render graph nightly-articles > docs/run.mmd",
    ],
)
def graph(
    invocation: Invocation,
    job: JobArgument,
    *,
    account: AccountOption = None,
    deployed: Annotated[bool, typer.Option("--deployed", help="Draw what is on AWS instead.")] = False,
) -> None:
    """Draw the job's state machine as a Mermaid flow chart."""
    from nightlatch.operations.definitions import parse  # noqa: PLC0415  it imports the catalog
    from nightlatch.operations.graph import mermaid  # noqa: PLC0415

    text = mermaid(parse(_definition(invocation, job, account=account, deployed=deployed)))
    if invocation.out.machine:
        invocation.out.document("graph", {"job": job, "mermaid": text})
    else:
        invocation.out.raw(text)


def _definition(invocation: Invocation, job: str, *, account: str | None, deployed: bool) -> str:
    from nightlatch.operations.definitions import deployed_definition, render_job  # noqa: PLC0415

    if deployed:
        return deployed_definition(invocation.deployment, job)
    return render_job(declared_job(invocation, job), _names(invocation, account))


def declared_job(invocation: Invocation, name: str) -> "Job":
    """The job of that name in the jobs file.

    Raises:
        OperationError: There is none (JOB-001).
    """
    job = invocation.catalog.jobs.get(name)
    if job is None:
        raise no_such_job(name, invocation.catalog.jobs)
    return job


def _names(invocation: Invocation, account: str | None) -> "Installation":
    from nightlatch.installation import LOCAL_ACCOUNT, LOCAL_REGION, Installation  # noqa: PLC0415

    settings = invocation.settings
    if account is None and not settings.local:
        return invocation.deployment.installation
    region = settings.region or invocation.environ.get("AWS_DEFAULT_REGION") or LOCAL_REGION
    return Installation.conventional(settings.env, account or LOCAL_ACCOUNT, region)
