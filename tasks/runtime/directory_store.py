"""Checkpoints and outputs in a local directory, with the same conditions as S3.

Conditions are checked under an advisory file lock, so they hold between processes of one machine (and not
over a network file system without locks).
"""

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path

from tasks.runtime.failures import CannotWriteError
from tasks.runtime.files import inside, replace_file
from tasks.runtime.store import ConditionFailedError, Stored

_CHUNK = 1 << 20
_LOCK_FILE = ".store-lock"


class DirectoryStore:
    """Objects as files under `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.location = directory.absolute().as_uri() + "/"

    def read(self, key: str) -> Stored | None:
        """See ObjectStore."""
        with self._explained(f"read {key}"):
            try:
                body = inside(self._directory, key).read_bytes()
            except (FileNotFoundError, IsADirectoryError):
                return None
            return Stored(body, _tag(body))

    def fetch(self, key: str, path: Path) -> bool:
        """See ObjectStore."""
        with self._explained(f"fetch {key}"):
            source = inside(self._directory, key)
            if not source.is_file():
                return False
            replace_file(path, _chunks(source))
            return True

    def write(self, key: str, body: bytes, *, if_match: str | None) -> str:
        """See ObjectStore."""
        with self._explained(f"write {key}"), self._locked():
            there = self.read(key)
            if (there.etag if there else None) != if_match:
                raise ConditionFailedError(key)
            replace_file(inside(self._directory, key), [body])
            return _tag(body)

    def upload(self, key: str, path: Path) -> None:
        """See ObjectStore."""
        with self._explained(f"upload {key}"), self._locked():
            target = inside(self._directory, key)
            if not target.exists():
                replace_file(target, _chunks(path))

    def keys(self, prefix: str) -> list[str]:
        """See ObjectStore."""
        found = (
            path.relative_to(self._directory).as_posix()
            for path in self._directory.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )
        return sorted(key for key in found if key.startswith(prefix))

    def delete(self, keys: list[str]) -> None:
        """See ObjectStore."""
        for key in keys:
            with self._explained(f"delete {key}"):
                path = inside(self._directory, key)
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    path.parent.rmdir()  # goes only when it is empty

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / _LOCK_FILE).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CannotWriteError(f"cannot {doing} in {self.location}: {error.strerror or error}") from None


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
