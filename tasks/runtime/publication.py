"""Publishing a job's output: immutable parts first, then one manifest by a conditional write.

A reader takes ``current.json`` and then the parts it names; every part it names is there. A generation
that is replaced stays for a while, so that a slow reader finishes. A run whose token is lower than the
published one is refused: it has been replaced by a newer holder.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tasks.runtime.failures import CannotWriteError, LockLostError, TemporaryError
from tasks.runtime.files import inside, published_files, sha256_of
from tasks.runtime.store import ConditionFailedError, ObjectStore

MANIFEST: Final = "current.json"
# What a job leaves here for its next run: handed to it in the "previous" directory.
STATE_FOLDER: Final = "state/"
_SCHEMA: Final = 1
_GENERATIONS_KEPT: Final = 3
_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class Published:
    """What is current after a publication."""

    generation: str
    files: int
    size: int


def read_previous(store: ObjectStore, directory: Path) -> int:
    """Fetch the files below ``state/`` of the current generation. Returns how many.

    Raises:
        TemporaryError, CannotWriteError: from the store.
    """
    current, _ = read_manifest(store)
    count = 0
    for file in (current or {}).get("files", []):
        name = str(file["name"])
        if name.startswith(STATE_FOLDER):
            path = inside(directory, name.removeprefix(STATE_FOLDER))
            if not store.fetch(str(file["key"]), path):
                raise TemporaryError(f"{store.location}{file['key']} is named by {MANIFEST} but is not there")
            count += 1
    return count


def publish(store: ObjectStore, directory: Path, token: int, about: Mapping[str, str]) -> Published | None:
    """Publish every finished file of `directory` as the current generation; None if there is no file.

    `about` (job, run, step, run_key) goes into the manifest as it is.

    Raises:
        LockLostError: if a higher token has published.
        TemporaryError, CannotWriteError: from the store.
    """
    files = describe(directory)
    if not files:
        return None
    _refuse_newer(read_manifest(store)[0], token, store.location)
    generation = f"parts/{token}-{digest(files)}/"
    for file in files:
        file["key"] = generation + file["name"]
        store.upload(file["key"], inside(directory, file["name"]))
    dropped = _switch(store, generation, files, token, about)
    for old in dropped:
        store.delete(store.keys(old))
    return Published(generation, len(files), sum(file["size"] for file in files))


def describe(directory: Path) -> list[dict[str, Any]]:
    """Every finished file of a directory: name, size, sha256.

    Raises:
        CannotWriteError: if it cannot be read.
    """
    try:
        return [
            {"name": name, "size": stat.st_size, "sha256": sha256_of(path)}
            for name, path, stat in published_files(directory)
        ]
    except OSError as error:
        raise CannotWriteError(f"cannot read the output: {error.strerror or error}") from None


def digest(files: list[dict[str, Any]]) -> str:
    """A name for these very files."""
    text = json.dumps([[file["name"], file["sha256"]] for file in files])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _switch(
    store: ObjectStore, generation: str, files: list[dict[str, Any]], token: int, about: Mapping[str, str]
) -> list[str]:
    """Make `generation` the current one; returns the generations that nobody needs any more."""
    for _ in range(_TRIES):
        current, etag = read_manifest(store)
        _refuse_newer(current, token, store.location)
        if current is not None and current["generation"] == generation:
            return []  # written by us already: only the reply was lost
        former = [generation, *(current or {}).get("generations", [])]
        body = manifest_of(generation, former[:_GENERATIONS_KEPT], files, token, about)
        try:
            store.write(MANIFEST, body, if_match=etag)
        except ConditionFailedError:
            continue  # somebody wrote in between: look again who it was
        return [old for old in former[_GENERATIONS_KEPT:] if old not in former[:_GENERATIONS_KEPT]]
    raise TemporaryError(f"{store.location}{MANIFEST} keeps changing under us; {_TRIES} tries were refused")


def manifest_of(
    generation: str,
    generations: list[str],
    files: list[dict[str, Any]],
    token: int,
    about: Mapping[str, str],
) -> bytes:
    """The manifest's text. `files` have name, size, sha256 and key."""
    manifest = {
        "schema_version": _SCHEMA,
        "token": token,
        **about,
        "published_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "generation": generation,
        "generations": generations,
        "files": files,
    }
    return json.dumps(manifest, ensure_ascii=False, indent=1).encode()


def _refuse_newer(current: dict[str, Any] | None, token: int, location: str) -> None:
    if current is not None and current["token"] > token:
        raise LockLostError(
            f"{location}{MANIFEST} was published with token {current['token']}, newer than ours ({token})"
        )


def read_manifest(store: ObjectStore) -> tuple[dict[str, Any] | None, str | None]:
    """What is current, and the tag of its manifest; None and None if nothing was published.

    Raises:
        CannotWriteError: if what is there is not a manifest of ours.
        TemporaryError: from the store.
    """
    stored = store.read(MANIFEST)
    if stored is None:
        return None, None
    try:
        manifest = json.loads(stored.body)
        sound = isinstance(manifest["token"], int) and isinstance(manifest["generation"], str)
        sound = sound and all(isinstance(file["key"], str) for file in manifest["files"])
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise CannotWriteError(
            f"{store.location}{MANIFEST} is not a manifest of ours; publishing would destroy what is there"
        )
    return manifest, stored.etag
