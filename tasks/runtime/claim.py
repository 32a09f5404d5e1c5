"""Claiming the attempt's grant: the one write that lets a container work."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tasks.contract import Assignment, variables
from tasks.runtime.failures import CannotWriteError
from tasks.runtime.files import replace_file
from tasks.runtime.metadata import task_arn

# Without a lock (run by hand) everything is done under this token; any claimed token is higher.
UNCLAIMED: Final = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """What the container may say of itself: its task and the fencing token of its claim."""

    token: int
    task_arn: str
    lock_key: str


def claim(assignment: Assignment, environment: Mapping[str, str]) -> Claim | None:
    """Claim the grant of `assignment`; None if there is no lock to claim (run by hand).

    Raises:
        LockLostError: if the grant is not (or no longer) ours to claim.
        TemporaryError: if the metadata endpoint or DynamoDB does not answer.
    """
    wanted = assignment.claimable
    if wanted is None:
        return None
    arn = task_arn(environment)
    from tasks.runtime.lock_row import claim_grant, verify_grant  # noqa: PLC0415  (boto3 is slow to import)

    # The containers of a fan-out share one grant, which can be claimed once only: they make sure that it is
    # still theirs, and publish by shard.
    token = verify_grant(wanted) if assignment.verify else claim_grant(wanted, arn)
    return Claim(token=token, task_arn=arn, lock_key=wanted.key)


def verify(assignment: Assignment) -> None:
    """Make sure that a shared grant is still the holder's. By hand, without a lock, it always is.

    Raises:
        LockLostError: if it is not.
        TemporaryError: if DynamoDB does not answer.
    """
    if assignment.claimable is not None:
        from tasks.runtime.lock_row import verify_grant  # noqa: PLC0415  (boto3 is slow to import)

        verify_grant(assignment.claimable)


def write_claim(directory: Path, claimed: Claim) -> None:
    """Leave the claim for another container of the task, in a volume they share.

    ``token`` holds the number alone, ``claim.json`` everything, ``claim.env`` lines for a shell.

    Raises:
        CannotWriteError: if the directory cannot be written.
    """
    env = f"{variables.TOKEN}={claimed.token}\n"
    try:
        replace_file(directory / "claim.json", [json.dumps(asdict(claimed)).encode()])
        replace_file(directory / "claim.env", [env.encode()])
        # Last: who sees the token sees the rest.
        replace_file(directory / "token", [f"{claimed.token}\n".encode()])
    except OSError as error:
        raise CannotWriteError(f"cannot write the claim to {directory}: {error.strerror or error}") from None
