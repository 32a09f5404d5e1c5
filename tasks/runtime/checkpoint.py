"""Keeping the job's checkpoint directory in step with its location, fenced by the token.

The location holds one manifest, ``checkpoint.json``, and the files it names under ``files/``. The manifest is
written only on the condition that it is still the one last seen, and a new holder writes it once with its own
token *before* the job starts: from then on every write of an older holder is refused, however late it comes.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tasks.runtime.failures import CannotWriteError, LockLostError, TemporaryError
from tasks.runtime.files import inside, published_files, sha256_of
from tasks.runtime.store import ConditionFailedError, ObjectStore

MANIFEST: Final = "checkpoint.json"
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class _Kept:
    """One file of the checkpoint: where it lies and what it is."""

    key: str
    sha256: str
    size: int

    def members(self) -> dict[str, Any]:
        return {"key": self.key, "sha256": self.sha256, "size": self.size}


class Checkpoint:
    """The files of `directory`, kept in `store` under `token`. Not for use by two threads at once."""

    def __init__(self, store: ObjectStore, directory: Path, token: int) -> None:
        self._store = store
        self._directory = directory
        self._token = token
        self._etag: str | None = None
        self._files: dict[str, _Kept] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}

    def restore(self) -> int:
        """Bring the files of former attempts and take the location over. Returns the number of files.

        Raises:
            LockLostError: if a newer holder has been here.
            TemporaryError, CannotWriteError: from the store.
        """
        self._read_manifest()
        for name, kept in self._files.items():
            path = inside(self._directory, name)
            if not self._store.fetch(kept.key, path) or sha256_of(path) != kept.sha256:
                raise TemporaryError(f"checkpoint file {name} is not whole in {self._store.location}")
            self._seen[name] = _signature(path.stat())
        self._write_manifest(self._files)
        return len(self._files)

    def sync(self) -> int:
        """Upload what changed since the last time. Returns the number of files that did.

        Raises:
            LockLostError: if a newer holder has taken over.
            TemporaryError, CannotWriteError: from the store.
        """
        now: dict[str, _Kept] = {}
        seen: dict[str, tuple[int, int, int]] = {}
        changed = 0
        for name, path, stat in published_files(self._directory):
            signature = _signature(stat)
            if name in self._files and self._seen.get(name) == signature:
                now[name] = self._files[name]
            else:
                kept = self._upload(name, path)
                if kept is None:
                    continue
                now[name] = kept
                changed += 1
            seen[name] = signature
        if now == self._files:
            self._seen = seen
            return 0
        before = self._files
        self._write_manifest(now)
        self._seen = seen
        in_use = {kept.key for kept in now.values()}
        self._store.delete([kept.key for kept in before.values() if kept.key not in in_use])
        return changed

    def _upload(self, name: str, path: Path) -> _Kept | None:
        try:
            sha256, size = sha256_of(path), path.stat().st_size
            key = f"files/{self._token}-{hashlib.sha256(name.encode()).hexdigest()[:8]}-{sha256[:32]}"
            self._store.upload(key, path)
        except FileNotFoundError:
            return None  # the job removed it meanwhile; the next round sees that
        except OSError as error:
            raise CannotWriteError(f"cannot read checkpoint file {name}: {error.strerror}") from None
        return _Kept(key, sha256, size)

    def _read_manifest(self) -> None:
        stored = self._store.read(MANIFEST)
        if stored is None:
            self._etag, self._files = None, {}
            return
        members = _parse(stored.body, self._store.location)
        if members["token"] > self._token:
            raise LockLostError(
                f"the checkpoint in {self._store.location} belongs to token {members['token']}, "
                f"which is newer than ours ({self._token})"
            )
        self._etag = stored.etag
        self._files = {
            name: _Kept(kept["key"], kept["sha256"], kept["size"]) for name, kept in members["files"].items()
        }

    def _write_manifest(self, files: dict[str, _Kept]) -> None:
        members = {
            "schema_version": _SCHEMA,
            "token": self._token,
            "files": {name: kept.members() for name, kept in sorted(files.items())},
        }
        body = json.dumps(members, separators=(",", ":")).encode()
        try:
            self._etag = self._store.write(MANIFEST, body, if_match=self._etag)
        except ConditionFailedError:
            # Ours after all, if only the reply was lost; else somebody else is the holder now.
            stored = self._store.read(MANIFEST)
            if stored is None or stored.body != body:
                raise LockLostError(
                    f"another holder wrote the checkpoint in {self._store.location} after token {self._token}"
                ) from None
            self._etag = stored.etag
        self._files = files


def _signature(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _parse(body: bytes, location: str) -> dict[str, Any]:
    try:
        members = json.loads(body)
        if members["schema_version"] != _SCHEMA or not isinstance(members["token"], int):
            raise ValueError("unknown schema")  # noqa: TRY301  (one text for every kind of damage)
        for kept in members["files"].values():
            _Kept(kept["key"], kept["sha256"], kept["size"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotWriteError(
            f"{location}{MANIFEST} is not a checkpoint manifest of this version; move it away to start afresh"
        ) from None
    return dict(members)
