"""Lock items in memory: the same rules without DynamoDB, for tests, simulations and single processes."""

import threading
from collections.abc import Iterator

from lock.events import Event
from lock.model import LockItem
from lock.rules import Reply, apply


class MemoryStore:
    """One operation at a time, by `lock.rules`."""

    def __init__(self) -> None:
        self._items: dict[str, LockItem] = {}
        self._one_at_a_time = threading.Lock()

    def write(self, key: str, event: Event) -> Reply:
        """Perform one operation."""
        with self._one_at_a_time:
            reply = apply(self._items.get(key), event, key=key)
            if reply.item is not None:
                self._items[key] = reply.item
            return reply

    def read(self, key: str) -> LockItem | None:
        """The item as it is now."""
        with self._one_at_a_time:
            return self._items.get(key)

    def scan(self) -> Iterator[LockItem]:
        """All items as they are now."""
        with self._one_at_a_time:
            items = tuple(self._items.values())
        yield from items

    def put(self, item: LockItem) -> None:
        """Write an item as it is, as an operator with a console could."""
        with self._one_at_a_time:
            self._items[item.lock_key] = item

    def delete(self, key: str) -> None:
        """Delete an item, as TTL or an operator could."""
        with self._one_at_a_time:
            self._items.pop(key, None)
