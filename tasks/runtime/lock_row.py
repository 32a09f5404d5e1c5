"""The two things a container does with the lock row: claim its grant, or verify a shared one."""

from lock import (
    Claimed,
    ItemError,
    LockError,
    LockItem,
    LockTable,
    StoreUnavailableError,
)
from tasks.contract import Claimable
from tasks.runtime.failures import CannotWriteError, LockLostError, RuntimeFailure, TemporaryError


def claim_grant(wanted: Claimable, task_arn: str) -> int:
    """Claim the grant for the task; returns the fencing token. The same task may ask again.

    Raises:
        LockLostError: if another owner or task holds the lock, or the grant was replaced.
        TemporaryError, CannotWriteError: if DynamoDB does not do its work.
    """
    try:
        table = LockTable.connect(wanted.table)
        result = table.claim(wanted.key, owner=wanted.owner, grant=wanted.grant, task_arn=task_arn)
    except LockError as error:
        raise _translated(error) from None
    if isinstance(result, Claimed):
        return result.token
    raise LockLostError(_refusal(wanted, result.item))


def verify_grant(wanted: Claimable) -> int:
    """Make sure, without writing, that the grant is the holder's; returns the fence as the token.

    Raises:
        LockLostError: if it is not.
        TemporaryError, CannotWriteError: if DynamoDB does not do its work.
    """
    try:
        item = LockTable.connect(wanted.table).get(wanted.key)
    except LockError as error:
        raise _translated(error) from None
    holder = item.holder if item else None
    if item is None or holder is None or (holder.owner, holder.grant) != (wanted.owner, wanted.grant):
        raise LockLostError(_refusal(wanted, item))
    return item.fence


def _refusal(wanted: Claimable, item: LockItem | None) -> str:
    """Say who holds the lock instead."""
    text = f"the grant of this attempt on lock {wanted.key!r} was refused"
    holder = item.holder if item else None
    if holder is None:
        return f"{text}: the lock is free, so this run is over"
    if holder.owner != wanted.owner:
        return f"{text}: {holder.owner} holds it"
    if holder.grant != wanted.grant:
        return f"{text}: a newer attempt of this run has been given its own"
    return f"{text}: task {holder.task_arn} has claimed it"


def _translated(error: LockError) -> RuntimeFailure:
    lasting = not isinstance(error, StoreUnavailableError | ItemError)
    return CannotWriteError(str(error)) if lasting else TemporaryError(str(error))
