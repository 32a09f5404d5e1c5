"""Where the shared state lies: an object in S3 changed by If-Match, or a file under a lock.

S3 answers 412 to a conditional write that lost, and 409 to one that met another in the same moment; both
mean: read again. Source: "How to prevent object overwrites with conditional writes", Amazon S3 user guide.
"""

import fcntl
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from tasks.contract import exit_codes
from tasks.jobs.documents import places
from tasks.jobs.documents.allowance import State
from tasks.jobs.program import JobError

Told = TypeVar("Told")
Change = Callable[[State], tuple[State, Told]]
_TRIES: Final = 60
_LONGEST_PAUSE: Final = 0.5


class Cell(Protocol):
    """A state that many change, one after the other."""

    def update(self, change: Change[Told]) -> Told:
        """Apply `change`, which may be called more than once, and return what it told.

        Raises:
            JobError: 75 if the place cannot be reached, or others were always faster.
        """
        ...


class FileCell:
    """For containers that see one file system."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def update(self, change: Change[Told]) -> Told:
        """See Cell."""
        # The lock lies beside: the state itself is replaced by a rename, so that a kill never empties it.
        with self._path.with_name(self._path.name + ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = _state(self._path.read_bytes() if self._path.exists() else b"")
            after, told = change(before)
            if after != before:
                places.write_whole(self._path, json.dumps(after.members()).encode())
            return told


class ObjectCell:
    """For containers anywhere: one object, compare-and-swap."""

    def __init__(self, location: str, client: Any = None) -> None:
        self._location = location
        self._bucket, self._key = places.split(location)
        self._client = client or places.client()

    def update(self, change: Change[Told]) -> Told:
        """See Cell."""
        from botocore.exceptions import ClientError  # noqa: PLC0415  (see places.client)

        for attempt in range(_TRIES):
            with places.explained(f"share the budget at {self._location}"):
                before, etag = self._read()
                after, told = change(before)
                if after == before:
                    return told
                condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
                body = json.dumps(after.members()).encode()
                try:
                    self._client.put_object(Bucket=self._bucket, Key=self._key, Body=body, **condition)
                except ClientError as error:
                    if places.error_code(error) not in places.REFUSED:
                        raise
                else:
                    return told
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.02 * 2 ** min(attempt, 6))))
        raise JobError(f"the budget at {self._location} is too busy", exit_codes.TRY_AGAIN)

    def _read(self) -> tuple[State, str]:
        from botocore.exceptions import ClientError  # noqa: PLC0415  (see places.client)

        try:
            reply = self._client.get_object(Bucket=self._bucket, Key=self._key)
        except ClientError as error:
            if places.error_code(error) in {"NoSuchKey", "404"}:
                return State(), ""
            raise
        return _state(reply["Body"].read()), str(reply["ETag"])


def open_cell(location: str) -> Cell:
    """The cell at a path, or at ``s3://bucket/key``."""
    if location.startswith(places.S3):
        return ObjectCell(location)
    return FileCell(Path(location.removeprefix("file://")))


def _state(body: bytes) -> State:
    if not body:
        return State()
    return State.of(json.loads(body))
