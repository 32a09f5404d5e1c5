"""The seam between the lock and the place its items lie in."""

from collections.abc import Iterator
from typing import Protocol

from lock.events import Event
from lock.model import LockItem
from lock.rules import Reply


class Store(Protocol):
    """Where lock items lie: DynamoDB, or memory. A contract suite runs against every implementation."""

    def write(self, key: str, event: Event) -> Reply:
        """Perform one operation atomically; refused is an answer, not an error.

        Raises:
            TableMissingError: there is no such table.
            StoreUnavailableError: no answer; the write may have happened.
            StoreRefusedError: refused for another reason than the condition.
        """

    def read(self, key: str) -> LockItem | None:
        """The item as it is now, by a consistent read. Raises as `write` does."""

    def scan(self) -> Iterator[LockItem]:
        """All items, in no order. Raises as `write` does."""
