"""Who may run: one DynamoDB item per lock, changed only by the writes in `lock.expressions`.

`Lock` is for any program; `LockTable` has every operation by itself; `lock.fence` keeps stale holders away
from what they write to. Usable alone: this package knows nothing of jobs, executions or containers.
"""

from lock.client import LockTable, new_grant
from lock.clock import Clock, SkewGauge, SystemClock, VirtualClock
from lock.errors import (
    FencedError,
    ItemError,
    LockError,
    LockHeldError,
    LockLostError,
    StaleTasksError,
    StoreRefusedError,
    StoreUnavailableError,
    TableMissingError,
)
from lock.handle import Lock
from lock.memory import MemoryStore
from lock.model import Holder, Kind, LastRun, LockItem, StaleTask
from lock.results import (
    Acquired,
    Armed,
    Claimed,
    Dropped,
    Duplicate,
    Held,
    Left,
    Lost,
    NotHeld,
    NotQueued,
    NotWaiting,
    Queued,
    Released,
    Renewed,
)
from lock.store import Store
from lock.table import TIME_TO_LIVE, table_definition

__all__ = [
    "TIME_TO_LIVE",
    "Acquired",
    "Armed",
    "Claimed",
    "Clock",
    "Dropped",
    "Duplicate",
    "FencedError",
    "Held",
    "Holder",
    "ItemError",
    "Kind",
    "LastRun",
    "Left",
    "Lock",
    "LockError",
    "LockHeldError",
    "LockItem",
    "LockLostError",
    "LockTable",
    "Lost",
    "MemoryStore",
    "NotHeld",
    "NotQueued",
    "NotWaiting",
    "Queued",
    "Released",
    "Renewed",
    "SkewGauge",
    "StaleTask",
    "StaleTasksError",
    "Store",
    "StoreRefusedError",
    "StoreUnavailableError",
    "SystemClock",
    "TableMissingError",
    "VirtualClock",
    "new_grant",
    "table_definition",
]
