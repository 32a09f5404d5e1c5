"""`locks`: look at locks, and free one by force."""

from typing import Annotated

import typer

from nightlatch.cli import tree
from nightlatch.cli.arguments import ReasonOption, YesOption
from nightlatch.cli.invocation import Invocation
from nightlatch.cli.output import Cell, Column, Output
from nightlatch.cli.registration import command
from nightlatch.cli.times import parse_duration, span
from nightlatch.operations.codes import ExitCode
from nightlatch.operations.errors import OperationError
from nightlatch.operations.locks import (
    HELD,
    STALE,
    LockStatus,
    holder_alive,
    list_locks,
    need_item,
    status_of,
)
from nightlatch.operations.release import DRAIN_SECONDS, ForcedRelease, ReleaseRequest, release_lock
from nightlatch.operations.start import operator_name

LockArgument = Annotated[str, typer.Argument(metavar="LOCK", help="Lock key, as jobs.yaml names it.")]


@command(
    tree.locks,
    "locks",
    "list",
    examples=["nightlatch locks list", "nightlatch locks list --held -o name"],
)
def list_(
    invocation: Invocation,
    *,
    held: Annotated[bool, typer.Option("--held", help="Only those that somebody holds.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Only those whose holder is dead.")] = False,
) -> None:
    """List locks: who holds each, since when, with which token."""
    found = [
        status
        for status in list_locks(invocation.deployment)
        if (not held or status.held) and (not stale or status.state == STALE)
    ]
    columns: list[Column[LockStatus]] = [
        Column("LOCK", lambda status: status.key),
        Column("STATE", lambda status: status.state),
        Column("TOKEN", lambda status: status.fence, right=True),
        Column("HELD BY", lambda status: status.run),
        Column("SINCE", lambda status: status.since),
        Column("WAITING", lambda status: len(status.waiting) or None, right=True),
        Column("LAST RUN", lambda status: status.last_run),
        Column("LAST OUTCOME", lambda status: status.last_outcome),
    ]
    invocation.out.records("locks", found, columns, name=lambda status: status.key)
    if not found:
        invocation.talk.note(
            "no locks" + (" like that" if held or stale else " yet: they appear when a job first runs")
        )
    for status in found:
        if status.state == STALE:
            invocation.talk.hint(f"nightlatch locks show {status.key}")


@command(
    tree.locks,
    "locks",
    "show",
    examples=["nightlatch locks show articles", "nightlatch locks show articles -o json | jq .fence"],
)
def show(invocation: Invocation, key: LockArgument) -> None:
    """Show one lock in full: holder, token, lease, task, queue, who held it last."""
    deployment = invocation.deployment
    item = need_item(deployment, key)
    status = status_of(item, holder_alive=holder_alive(deployment, item))
    invocation.out.record(
        "lock", status, name=status.key, view=lambda shown: lock_view(invocation.out, shown)
    )
    if status.state == STALE:
        invocation.talk.note("its holder has ended; the next run, or the janitor, takes it over")
        invocation.talk.hint(f"nightlatch locks release {key} --expect-token {status.fence} --reason TEXT")
    elif status.state == HELD and status.kind == "sfn":
        invocation.talk.hint(f"nightlatch watch {status.run}")


def lock_view(out: Output, status: LockStatus) -> None:
    """A lock for people."""
    out.facts(
        [
            ("lock", status.key),
            ("state", status.state),
            ("token", status.fence),
            ("held by", status.run),
            ("job", status.job),
            ("since", status.since),
            ("claimed", status.claimed_at or ("not yet" if status.held else None)),
            ("lease ends", status.lease_expires_at),
            ("task", status.task_arn.rpartition("/")[2] if status.task_arn else None),
            ("stale tasks", status.stale_tasks or None),
            ("waiting", ", ".join(status.waiting)),
            *last_rows(status),
        ]
    )


def last_rows(status: LockStatus) -> list[tuple[str, Cell]]:
    """Who held a lock before."""
    return [
        ("last run", status.last_run),
        ("last outcome", status.last_outcome),
        ("last ended", status.last_at),
        ("freed by", status.last_by),
        ("because", status.last_reason),
        ("done up to", status.last_run_key),
    ]


@command(
    tree.locks,
    "locks",
    "release",
    examples=[
        "nightlatch locks release articles",
        "nightlatch locks release articles --stop-holder --reason 'hangs in a network call'",
        "nightlatch locks release articles --expect-token 1764790000005 --reason 'host is gone' --yes",
    ],
)
def release(
    invocation: Invocation,
    key: LockArgument,
    *,
    expect_token: Annotated[
        int | None,
        typer.Option(
            "--expect-token", metavar="N", help="The token you decided on; refused if it has changed."
        ),
    ] = None,
    stop_holder: Annotated[
        bool, typer.Option("--stop-holder", help="Stop the holder's run and containers first.")
    ] = False,
    wait: Annotated[
        str | None,
        typer.Option("--wait", metavar="DURATION", help="Wait at most so long for containers. 180s"),
    ] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
) -> ExitCode:
    """Take a lock away from its holder. You rarely need this: a dead holder is replaced by itself.

    Shows the lock and asks, or takes --expect-token with --yes. The old holder's token becomes too old to
    write with, but without --stop-holder its container may go on until the next run stops it.
    """
    deployment = invocation.deployment
    item = need_item(deployment, key)
    alive = holder_alive(deployment, item)
    status = status_of(item, holder_alive=alive)
    if not status.held:
        raise OperationError("LOCK-004", f"nobody holds {key}", tries=[f"nightlatch locks show {key}"])
    if expect_token is None:
        if yes:
            raise OperationError(
                "USE-001",
                "--yes needs --expect-token: say which holder you mean",
                facts=[("held by", str(status.run)), ("token", str(status.fence))],
                tries=[f"nightlatch locks release {key} --expect-token {status.fence} --reason TEXT --yes"],
            )
        _show(invocation, status)
    if alive and not stop_holder:
        invocation.talk.warning("its holder is alive and goes on working; --stop-holder would stop it first")
    what = f"stop {status.run} and release {key}?" if stop_holder else f"take {key} away from {status.run}?"
    if not invocation.talk.confirm(what, yes=yes):
        invocation.talk.note("nothing was released")
        return ExitCode.FAILED
    why = reason or invocation.talk.ask("why?")
    if not why:
        raise OperationError("USE-001", "a forced release needs --reason", tries=["--reason TEXT"])
    request = ReleaseRequest(
        key=key,
        expect_token=status.fence if expect_token is None else expect_token,
        by=operator_name(),
        reason=why,
        stop_holder=stop_holder,
        wait_seconds=DRAIN_SECONDS if wait is None else parse_duration(wait, "--wait"),
    )
    done = release_lock(deployment, request)

    def view(shown: ForcedRelease) -> None:
        invocation.out.facts(
            [
                ("lock", shown.after.key),
                ("was held by", shown.before.run),
                ("now", f"held by {shown.handed_to}" if shown.handed_to else shown.after.state),
                ("token", shown.after.fence),
                ("stopped tasks", len(shown.stopped_tasks) or None),
                ("freed by", "the run itself or the janitor" if shown.freed_by_others else request.by),
                ("because", why),
            ]
        )

    invocation.out.record("forced_release", done, name=key, view=view)
    return ExitCode.OK


def _show(invocation: Invocation, status: LockStatus) -> None:
    """What is about to be released, as talk: it belongs to the question."""
    age = span((invocation.now() - status.since).total_seconds()) if status.since else "-"
    claimed = "" if status.claimed_at else ", container not claimed yet"
    invocation.talk.note(f"  held by   {status.run} for {age}{claimed}")
    invocation.talk.note(f"  state     {status.state}")
    invocation.talk.note(f"  token     {status.fence}")
    if status.waiting:
        invocation.talk.note(f"  waiting   {', '.join(status.waiting)}")
