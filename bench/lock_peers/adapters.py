"""One face for every lock. Runs inside a peer's own environment: nothing but that peer and boto3 is there.

Each adapter is one holder. `acquire` tries once and tells whether it got the lock; `wait` waits for it in the
peer's own way, or, where it has none, by trying every tenth of a second. What a peer raises is raised.
"""

# The face is documented once, above; a peer is imported where it is installed; some offer no public name.
# ruff: noqa: D101, D102, PLC0415, SLF001

from __future__ import annotations

import datetime as dt
import time
from typing import Any

POLL_SECONDS = 0.1


class Adapter:
    """What is common: nothing but the names."""

    key_schema: tuple[tuple[str, str], ...] = ()
    renews = True

    def __init__(self, table: str, key: str, lease_seconds: int) -> None:
        self.table = table
        self.key = key
        self.lease_seconds = lease_seconds

    def acquire(self) -> bool:
        raise NotImplementedError

    def release(self) -> Any:
        raise NotImplementedError

    def renew(self) -> Any:
        raise NotImplementedError

    def wait(self) -> None:
        while not self.acquire():
            time.sleep(POLL_SECONDS)


class Nightlatch(Adapter):
    key_schema = (("lock_key", "S"),)
    max_skew_ms = 1_000

    def __init__(self, table: str, key: str, lease_seconds: int) -> None:
        super().__init__(table, key, lease_seconds)
        from lock import LockTable

        self.locks = LockTable.connect(table, max_skew_ms=self.max_skew_ms)
        self.lock = self._lock(0)

    def _lock(self, wait_seconds: float) -> Any:
        from lock import Lock

        return Lock(
            self.key,
            table=self.locks,
            lease_seconds=self.lease_seconds,
            wait_seconds=wait_seconds,
            poll_seconds=POLL_SECONDS,
        )

    def acquire(self) -> bool:
        from lock import Acquired

        return isinstance(self.lock.acquire(), Acquired)

    def release(self) -> str:
        return type(self.lock.release()).__name__

    def renew(self) -> None:
        self.lock.renew()

    def wait(self) -> None:
        from lock import Acquired

        self.lock = self._lock(60)
        assert isinstance(self.lock.acquire(), Acquired)


class NightlatchDefaultSkew(Nightlatch):
    """As anybody gets it who does not say how good the clocks are."""

    max_skew_ms = 5_000


class PythonDynamodbLock(Adapter):
    key_schema = (("lock_key", "S"), ("sort_key", "S"))

    def __init__(self, table: str, key: str, lease_seconds: int) -> None:
        super().__init__(table, key, lease_seconds)
        import boto3
        from python_dynamodb_lock.python_dynamodb_lock import DynamoDBLockClient

        self.client = DynamoDBLockClient(
            boto3.resource("dynamodb"),
            table_name=table,
            lease_duration=dt.timedelta(seconds=lease_seconds),
            safe_period=dt.timedelta(seconds=lease_seconds),
            # Its thread would renew in the middle of the counting.
            heartbeat_period=dt.timedelta(hours=1),
        )
        self.lock: Any = None

    def acquire(self) -> bool:
        return self._acquire(dt.timedelta(microseconds=1))

    def wait(self) -> None:
        assert self._acquire(dt.timedelta(seconds=60))

    def _acquire(self, patience: dt.timedelta) -> bool:
        from python_dynamodb_lock.python_dynamodb_lock import DynamoDBLockError

        try:
            self.lock = self.client.acquire_lock(
                self.key, retry_period=dt.timedelta(seconds=POLL_SECONDS), retry_timeout=patience
            )
        except DynamoDBLockError as error:
            if error.code != DynamoDBLockError.ACQUIRE_TIMEOUT:
                raise
            return False
        return True

    def release(self) -> None:
        self.client.release_lock(self.lock, best_effort=False)

    def renew(self) -> str | None:
        self.client._send_heartbeat(self.lock)
        return None if self.lock.status == "LOCKED" else f"the lock is {self.lock.status}"


class DynamodbLock(Adapter):
    """dynamodblock: it describes the table for every lock object, so that is part of its acquire."""

    key_schema = (("lock_id", "S"),)
    renews = False

    def __init__(self, table: str, key: str, lease_seconds: int) -> None:
        super().__init__(table, key, lease_seconds)
        import boto3

        self.resource = boto3.resource("dynamodb").Table(table)
        self.lock: Any = None

    def acquire(self) -> bool:
        from dynamodblock import DynamoDBLockTimeoutError

        try:
            self._acquire(0.0)
        except DynamoDBLockTimeoutError:
            return False
        return True

    def wait(self) -> None:
        self._acquire(60.0)

    def _acquire(self, patience: float) -> None:
        from dynamodblock import DynamoDBLock

        self.lock = DynamoDBLock(self.key, self.resource, lock_ttl=self.lease_seconds)
        self.lock.acquire(retry_timeout=patience, retry_interval=POLL_SECONDS)

    def release(self) -> str | None:
        return None if self.lock.release() else "release says False"


class Dynalock(Adapter):
    key_schema = (("LockId", "S"),)
    renews = False

    def __init__(self, table: str, key: str, lease_seconds: int) -> None:
        super().__init__(table, key, lease_seconds)
        import boto3
        from dynalock import DynaLock

        region = boto3.Session().region_name
        self.lock = DynaLock(key, region_name=region, table_name=table, ttl=lease_seconds)

    def acquire(self) -> bool:
        from dynalock import LockAlreadyAcquiredError

        try:
            return self.lock._acquire_lock()
        except LockAlreadyAcquiredError:
            return False

    def release(self) -> str | None:
        return None if self.lock._release_lock() else "release says False"


class DynamoDlm(Adapter):
    key_schema = (("resource_id", "S"), ("concurrency_id", "N"))
    renews = False

    def acquire(self) -> bool:
        from dynamo_dlm import LockNotAcquiredError

        self.lock = self._lock(forever=False)
        try:
            self.lock.acquire()
        except LockNotAcquiredError:
            return False
        return True

    def wait(self) -> None:
        self.lock = self._lock(forever=True)
        self.lock.acquire()

    def _lock(self, *, forever: bool) -> Any:
        from dynamo_dlm import DynamoDbLock

        return DynamoDbLock(
            self.key, duration=self.lease_seconds, table_name=self.table, wait_forever=forever
        )

    def release(self) -> None:
        self.lock.release()


class Lynk(Adapter):
    key_schema = (("lockKey", "S"),)

    def __init__(self, table: str, key: str, lease_seconds: int) -> None:
        super().__init__(table, key, lease_seconds)
        import lynk

        self.lock = lynk.get_session(table).create_lock(key, auto_refresh=False)

    def acquire(self) -> bool:
        from lynk.exceptions import LockNotGrantedError

        try:
            self.lock.acquire(lease_duration=self.lease_seconds, max_wait_seconds=0)
        except LockNotGrantedError:
            return False
        return True

    def wait(self) -> None:
        self.lock.acquire(lease_duration=self.lease_seconds, max_wait_seconds=60)

    def release(self) -> None:
        self.lock.release()

    def renew(self) -> None:
        self.lock.refresh()


class DynamoLock(Adapter):
    key_schema = (("name", "S"),)
    renews = False

    def __init__(self, table: str, key: str, lease_seconds: int) -> None:
        super().__init__(table, key, lease_seconds)
        from dynamo_lock import LockerClient

        self.lock = LockerClient(table)

    def acquire(self) -> bool:
        return bool(self.lock.acquire(self.key, self.lease_seconds * 1000))

    def release(self) -> None:
        self.lock.release(self.key)


ADAPTERS: dict[str, type[Adapter]] = {
    "nightlatch": Nightlatch,
    "nightlatch-default-skew": NightlatchDefaultSkew,
    "python-dynamodb-lock": PythonDynamodbLock,
    "dynamodblock": DynamodbLock,
    "dynalock": Dynalock,
    "dynamo-dlm": DynamoDlm,
    "lynk": Lynk,
    "dynamo-lock": DynamoLock,
}
