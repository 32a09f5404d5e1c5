"""The stable error codes: what each one means and which exit status it gives.

A code never changes its meaning and is never used again for another one: scripts and runbooks quote them.
`nightlatch explain CODE` prints the text below.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit status of every command. A waited run gives the run's own."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFLICT = 3
    CREDENTIALS = 4
    NOT_FOUND = 5
    INVALID = 6
    DIFFERENT = 7
    STILL_RUNNING = 8
    TIMED_OUT = 9
    STOPPED = 10
    SKIPPED = 11
    FAULT = 12
    INTERRUPTED = 130


EXIT_MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done; for a waited run: it succeeded (or was skipped, without --fail-on-skip)",
    ExitCode.FAILED: "the run failed, or the command failed for a reason without its own code",
    ExitCode.USAGE: "wrong usage",
    ExitCode.CONFLICT: "refused because of a conflict: lock held, token changed, run id already used",
    ExitCode.CREDENTIALS: "credentials missing, expired or not allowed",
    ExitCode.NOT_FOUND: "no such job, run, lock or installation",
    ExitCode.INVALID: "the jobs file or a rendered definition is invalid",
    ExitCode.DIFFERENT: "differences found",
    ExitCode.STILL_RUNNING: "still running when the wait ended",
    ExitCode.TIMED_OUT: "the run exceeded its time limit",
    ExitCode.STOPPED: "the run was stopped by someone",
    ExitCode.SKIPPED: "the run was skipped by policy or was a duplicate, and --fail-on-skip was given",
    ExitCode.FAULT: "`doctor` found a fault",
    ExitCode.INTERRUPTED: "Ctrl-C; a watched run goes on",
}


@dataclass(frozen=True)
class ErrorCode:
    """One error code.

    Attributes:
        code: The stable code, for example ``LOCK-003``.
        exit_code: The exit status a command ends with when it stops on this error.
        title: What happened, in a few words.
        text: The long explanation: why it happens and what to do.
    """

    code: str
    exit_code: ExitCode
    title: str
    text: str


def _table(*entries: ErrorCode) -> dict[str, ErrorCode]:
    return {entry.code: entry for entry in entries}


CODES: dict[str, ErrorCode] = _table(
    ErrorCode(
        "USE-001",
        ExitCode.USAGE,
        "the command was used wrongly",
        "An option or argument has a value that cannot be used. The message names it and shows a value "
        "that can.",
    ),
    ErrorCode(
        "USE-002",
        ExitCode.USAGE,
        "a confirmation is needed and nobody can give it",
        "The command destroys something and asks first. Without a terminal, or with --no-input, it "
        "cannot ask: "
        "give --yes when you are sure.",
    ),
    ErrorCode(
        "FILE-001",
        ExitCode.INVALID,
        "no jobs file was found",
        "nightlatch looks for jobs.yaml in the current folder and then in each folder above it. Give "
        "--file PATH "
        "or set NIGHTLATCH_FILE to use another one.",
    ),
    ErrorCode(
        "FILE-002",
        ExitCode.INVALID,
        "the jobs file is invalid",
        "Every problem is listed with its file, line and column, so one edit can fix them all. "
        "`nightlatch validate` shows the same list and changes nothing.",
    ),
    ErrorCode(
        "FILE-003",
        ExitCode.INVALID,
        "a rendered state machine is invalid",
        "The jobs file is good but a definition made from it breaks a rule of Amazon States Language. "
        "This is a "
        "fault of the definition in statemachine/, not of jobs.yaml.",
    ),
    ErrorCode(
        "JOB-001",
        ExitCode.NOT_FOUND,
        "no such job",
        "The name is neither in jobs.yaml nor in the installation. Names are case-sensitive. "
        "`nightlatch jobs` lists them.",
    ),
    ErrorCode(
        "JOB-002",
        ExitCode.NOT_FOUND,
        "the job is not deployed",
        "jobs.yaml declares the job, but this environment has no state machine for it yet. On a laptop run "
        "`nightlatch local up` again; on AWS apply Terraform.",
    ),
    ErrorCode(
        "RUN-001",
        ExitCode.NOT_FOUND,
        "no such run",
        "No execution of that name exists. Step Functions forgets an execution 90 days after it ended; "
        "the runs "
        "table keeps its record for 400 days. `nightlatch history` lists runs.",
    ),
    ErrorCode(
        "RUN-002",
        ExitCode.NOT_FOUND,
        "the job has never run here",
        "There is no execution of this job in this environment. `nightlatch run JOB` starts one.",
    ),
    ErrorCode(
        "RUN-003",
        ExitCode.CONFLICT,
        "the request id was used for a different request",
        "A request id names one request: repeating it gives back the same run. This one was already "
        "used with "
        "other parameters, so nothing was started. Choose a new --request-id, or repeat the original "
        "parameters.",
    ),
    ErrorCode(
        "RUN-004",
        ExitCode.STILL_RUNNING,
        "the run was still going when the wait ended",
        "--timeout bounds only how long this command waits. The run was not touched and goes on. "
        "`nightlatch watch RUN` waits again, `nightlatch stop RUN` ends it.",
    ),
    ErrorCode(
        "RUN-005",
        ExitCode.FAILED,
        "the run failed",
        "A step failed in a way that its retry rules do not cover, or all retries were used. The "
        "message names the "
        "step, the class of failure and the exit code. `nightlatch logs RUN` shows what the container said. "
        "After a fix, `nightlatch run JOB --resume-from STEP` starts at the step that failed.",
    ),
    ErrorCode(
        "RUN-006",
        ExitCode.TIMED_OUT,
        "the run exceeded its time limit",
        "A step went over its timeout_minutes, or the whole run over its budget. The container was stopped "
        "(SIGTERM, grace, SIGKILL), and the lock was freed only after it was gone.",
    ),
    ErrorCode(
        "RUN-007",
        ExitCode.STOPPED,
        "the run was stopped by someone",
        "An operator or another run with the policy `replace` stopped it. `nightlatch show RUN` says "
        "who and why.",
    ),
    ErrorCode(
        "RUN-008",
        ExitCode.SKIPPED,
        "the run was skipped",
        "Another run held the lock and the policy says skip, or the scheduled time had been done "
        "already. Nothing "
        "was executed. It is an error only because --fail-on-skip was given.",
    ),
    ErrorCode(
        "RUN-009",
        ExitCode.CONFLICT,
        "the run has already ended",
        "There is nothing left to stop.",
    ),
    ErrorCode(
        "LOG-001",
        ExitCode.NOT_FOUND,
        "no logs of this run yet",
        "No container of the run has started, so there is no log stream. A task that never starts "
        "writes no logs: "
        "`nightlatch show RUN` gives the reason AWS gave.",
    ),
    ErrorCode(
        "LOCK-001",
        ExitCode.NOT_FOUND,
        "no such lock",
        "Lock rows appear when a job first runs. The name is the lock key of jobs.yaml, not the job's name. "
        "`nightlatch locks list` shows what exists.",
    ),
    ErrorCode(
        "LOCK-002",
        ExitCode.CONFLICT,
        "the lock changed since it was looked at",
        "A forced release names the token it was decided on, so that it can never free the lock of a "
        "run which "
        "came later. The token is different now: look again, and decide again.",
    ),
    ErrorCode(
        "LOCK-003",
        ExitCode.CONFLICT,
        "the job was not started: its lock is held",
        "Another run holds the lock and --on-conflict fail was given (or the job says so). Wait for it with "
        "--on-conflict wait, replace it with --on-conflict replace, or look at it with `nightlatch watch`.",
    ),
    ErrorCode(
        "LOCK-004",
        ExitCode.CONFLICT,
        "nobody holds the lock",
        "The lock is free. There is nothing to release.",
    ),
    ErrorCode(
        "LOCK-005",
        ExitCode.STILL_RUNNING,
        "the holder's containers did not stop in time",
        "The lock was not touched: freeing it now could put two containers side by side. Repeat the "
        "command to wait "
        "longer; without --stop-holder, the lock changes hands and the next run stops them before it starts.",
    ),
    ErrorCode(
        "LOCK-006",
        ExitCode.NOT_FOUND,
        "the lock table does not exist",
        "The installation names a lock table that is not there. Terraform makes it on AWS, "
        "`nightlatch local up` on a laptop. Nothing can run without it, and no program makes it on its own.",
    ),
    ErrorCode(
        "LOCK-007",
        ExitCode.FAILED,
        "a lock cannot be read",
        "The item of this lock was not written by this version of nightlatch. Look at it with "
        "`aws dynamodb get-item`, and change it only when nothing of the job runs.",
    ),
    ErrorCode(
        "SCHED-001",
        ExitCode.NOT_FOUND,
        "the job has no schedule",
        "jobs.yaml gives the job no schedule, or none is deployed in this environment. It runs only "
        "when somebody starts it.",
    ),
    ErrorCode(
        "INSTALL-001",
        ExitCode.NOT_FOUND,
        "the installation was not found",
        "The SSM parameter /nightlatch/ENV/installation names every table, queue and state machine of "
        "an environment. "
        "Terraform writes it on AWS, `nightlatch local up` on a laptop. It is missing here, in this "
        "account and region.",
    ),
    ErrorCode(
        "INSTALL-002",
        ExitCode.FAILED,
        "the installation record is of another version",
        "The SSM parameter was written by another version of nightlatch. Use that version, or deploy again.",
    ),
    ErrorCode(
        "INSTALL-003",
        ExitCode.FAILED,
        "the installation record cannot be read",
        "The SSM parameter exists but is not what nightlatch writes. Deploy again: Terraform and "
        "`nightlatch local up` write it.",
    ),
    ErrorCode(
        "LOCAL-001",
        ExitCode.NOT_FOUND,
        "the local AWS is not running",
        "The environment `local` is the local AWS on this machine. Start it with `nightlatch local up "
        "--detach`, "
        "or choose another environment with --env.",
    ),
    ErrorCode(
        "LOCAL-002",
        ExitCode.FAILED,
        "the local AWS did not start",
        "The server process ended or did not answer in time. Its log stands in the state folder as "
        "server.log.",
    ),
    ErrorCode(
        "LOCAL-003",
        ExitCode.FAILED,
        "the local AWS is not installed",
        "The server needs the packages of the extra `local`: pip install 'nightlatch[local]'.",
    ),
    ErrorCode(
        "AWS-001",
        ExitCode.CREDENTIALS,
        "no AWS credentials",
        "The AWS credential chain found nothing: no variables, no profile, no SSO session, no instance role. "
        "Give --profile NAME or sign in.",
    ),
    ErrorCode(
        "AWS-002",
        ExitCode.CREDENTIALS,
        "AWS did not accept the credentials",
        "The credentials exist but are expired or unknown to AWS. Sign in again.",
    ),
    ErrorCode(
        "AWS-003",
        ExitCode.CREDENTIALS,
        "not allowed",
        "The credentials are good, but their policies do not allow the call named in the message. "
        "Ask whoever gave them to you for that call.",
    ),
    ErrorCode(
        "AWS-004",
        ExitCode.FAILED,
        "AWS could not be reached",
        "No connection to the endpoint: no network, a wrong region, or a wrong AWS_ENDPOINT_URL.",
    ),
    ErrorCode(
        "AWS-005",
        ExitCode.FAILED,
        "AWS answered with an error",
        "The call named in the message failed, after the usual retries. The AWS request id on the last "
        "line helps AWS support.",
    ),
    ErrorCode(
        "AWS-006",
        ExitCode.USAGE,
        "no AWS region",
        "Give --region NAME, or set AWS_DEFAULT_REGION or NIGHTLATCH_REGION.",
    ),
    ErrorCode(
        "DOC-001",
        ExitCode.FAULT,
        "doctor found a fault",
        "Each finding names one fix. Checks that depend on a failed one are skipped until it is repaired.",
    ),
    ErrorCode(
        "BUG-001",
        ExitCode.FAILED,
        "an unexpected error",
        "This is a fault of nightlatch. Run the command again with --debug, and report what it prints.",
    ),
)


def every_code() -> dict[str, ErrorCode]:
    """All codes: those of operations, and those of mistakes in a jobs file."""
    from nightlatch.catalog.problems import CODES as MISTAKES  # noqa: PLC0415  pydantic is slow

    mistakes = {
        code: ErrorCode(
            code,
            ExitCode.INVALID,
            title,
            f"A mistake in the jobs file: {title}. The message gives its line and column, and what to write "
            "instead. `nightlatch validate` shows every mistake at once.",
        )
        for code, title in MISTAKES.items()
    }
    return CODES | mistakes
