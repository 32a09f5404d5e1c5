"""What can go wrong besides losing a race, which is a result and never an error."""


class LockError(Exception):
    """Base of everything this package raises. The text says what happened, why, and what to do."""


class TableMissingError(LockError):
    """The lock table does not exist. The client never creates it."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"lock table {table!r} does not exist in this account and Region. "
            "Terraform or `nightlatch local up` creates it; check the name, the Region and the endpoint."
        )
        self.table = table


class StoreUnavailableError(LockError):
    """No answer that says whether the write happened. Asking again with the same owner is always safe."""

    def __init__(self, operation: str, cause: BaseException) -> None:
        super().__init__(
            f"the lock table did not answer ({operation}: {cause}). The write may have happened or not; "
            "repeat it with the same owner and grant, which recognises its own earlier write."
        )
        self.operation = operation


class StoreRefusedError(LockError):
    """DynamoDB understood the request and refused it for another reason than its condition."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        advice = {
            "AccessDeniedException": "Allow dynamodb:UpdateItem and dynamodb:GetItem on this table.",
            "UnrecognizedClientException": "The credentials are not valid for this account or Region.",
            "ExpiredTokenException": "The credentials have expired; renew them.",
        }.get(code, "See the message; the lock item was not changed.")
        super().__init__(f"the lock table refused {operation} ({code}: {message}). {advice}")
        self.operation = operation
        self.code = code


class ItemError(LockError):
    """A stored item that this package cannot have written."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(
            f"lock item {key!r} cannot be read: {problem}. It was not written by this version of the lock; "
            "look at it with `aws dynamodb get-item`, and delete it only when nothing of it runs."
        )
        self.key = key


class LockHeldError(LockError):
    """Raised by `with Lock(...)` when the lock is not to be had, because the block must not run."""


class LockLostError(LockError):
    """Raised where a holder asks whether it still holds the lock, and it does not."""


class StaleTasksError(LockError):
    """The item names ECS tasks that must be stopped first, and nobody here can stop them."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"lock {key!r} names tasks of an earlier holder that may still run. Stop them first: give "
            "`Lock(..., drain=...)` a function that stops a task and waits until it is STOPPED."
        )
        self.key = key


class FencedError(LockError):
    """A write with an old token was refused at the resource: somebody else holds the lock by now."""

    def __init__(self, resource: str, token: int) -> None:
        super().__init__(
            f"token {token} is too old for {resource!r}: the lock has been given to another holder since. "
            "Nothing was written. Stop this work; the new holder does it."
        )
        self.resource = resource
        self.token = token
