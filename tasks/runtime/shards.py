"""The three ends of a fan-out: the list that a plan writes, what a shard publishes, what a collector finds.

Everything lies under a name of its own for each run, and every decisive write is made once: the list by the
first attempt that gets there, a shard's manifest by the first container. The second changes nothing.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tasks.runtime.failures import CannotWriteError, TemporaryError, WrongInputError
from tasks.runtime.files import inside, replace_file
from tasks.runtime.locations import open_store
from tasks.runtime.publication import MANIFEST, Published, describe, digest, manifest_of, read_manifest
from tasks.runtime.store import ConditionFailedError, ObjectStore

LIST: Final = "shards.json"
# The answers of all children must fit into 256 KiB of a state's output.
MOST_SHARDS: Final = 10_000
# A shard travels in the overrides of RunTask, quoted twice, and these may have 8192 characters in all.
LONGEST_SHARD: Final = 3_000
_READERS: Final = 16


@dataclass(frozen=True, slots=True)
class Collected:
    """What was brought: how many shards there are, and how many of them have published."""

    shards: int
    published: int


def publish_list(location: str, output: Path) -> int | None:
    """Make the plan's ``shards.json`` the run's list of shards. Returns their number; None: there was a list.

    Raises:
        WrongInputError: if there is no such file, or it is not a list that a fan-out can take.
        TemporaryError, CannotWriteError: from the store.
    """
    shards = _read_plan(output / LIST)
    folder, _, name = location.rpartition("/")
    body = json.dumps(shards, ensure_ascii=False, separators=(",", ":")).encode()
    try:
        open_store(folder + "/").write(name, body, if_match=None)
    except ConditionFailedError:
        return None
    return len(shards)


def _read_plan(path: Path) -> list[Any]:
    try:
        shards = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise WrongInputError(
            f"the next steps need shards, and this step wrote no {LIST} into its output directory"
        ) from None
    except (OSError, ValueError) as error:
        raise WrongInputError(f"{LIST} cannot be read: {error}") from None
    if not isinstance(shards, list) or not all(isinstance(shard, str | dict) for shard in shards):
        raise WrongInputError(f"{LIST} must be a JSON list of texts or objects")
    if len(shards) > MOST_SHARDS:
        raise WrongInputError(
            f"{LIST} has {len(shards)} shards; a fan-out takes {MOST_SHARDS}: make them larger"
        )
    for index, shard in enumerate(shards):
        length = len(json.dumps(json.dumps(shard, ensure_ascii=False)))
        if length > LONGEST_SHARD:
            raise WrongInputError(
                f"shard {index} of {LIST} has {length} characters, quoted; {LONGEST_SHARD} fit:"
                " write what is long into a file of the output, and its name into the shard"
            )
    return shards


def is_published(store: ObjectStore) -> bool:
    """Whether a container of this shard, in this run or the one it resumes, has published.

    Raises:
        TemporaryError, CannotWriteError: from the store.
    """
    return store.read(MANIFEST) is not None


def publish_once(
    store: ObjectStore, directory: Path, token: int, about: Mapping[str, str]
) -> Published | None:
    """Publish a shard's output, be it empty; None if another container was first, whose output stays.

    Raises:
        TemporaryError, CannotWriteError: from the store.
    """
    files = describe(directory)
    generation = f"parts/{token}-{digest(files)}/"
    for file in files:
        file["key"] = generation + file["name"]
        store.upload(file["key"], inside(directory, file["name"]))
    try:
        store.write(MANIFEST, manifest_of(generation, [generation], files, token, about), if_match=None)
    except ConditionFailedError:
        current, _ = read_manifest(store)
        if current is None or current["generation"] != generation:
            return None
    return Published(generation, len(files), sum(file["size"] for file in files))


def collect(list_location: str, outputs: str, directory: Path) -> Collected:
    """Bring what the shards published into ``{directory}/{index}/``, and ``shards.json`` beside.

    The list there has an object for each shard: index, shard, published, files.

    Raises:
        TemporaryError, CannotWriteError: from the store, or a file that is named is missing.
    """
    folder, _, name = list_location.rpartition("/")
    stored = open_store(folder + "/").read(name)
    if stored is None:
        raise CannotWriteError(f"there is no list of shards at {list_location}")
    shards = json.loads(stored.body)

    def bring(index: int) -> list[str] | None:
        return _bring(open_store(f"{outputs.rstrip('/')}/{index}/"), directory / str(index))

    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(bring, range(len(shards))))
    told = [
        {"index": index, "shard": shard, "published": files is not None, "files": files or []}
        for index, (shard, files) in enumerate(zip(shards, found, strict=True))
    ]
    try:
        replace_file(directory / LIST, [json.dumps(told, ensure_ascii=False).encode()])
    except OSError as error:
        raise CannotWriteError(f"cannot write {directory / LIST}: {error.strerror or error}") from None
    return Collected(len(shards), sum(files is not None for files in found))


def _bring(store: ObjectStore, directory: Path) -> list[str] | None:
    manifest, _ = read_manifest(store)
    if manifest is None:
        return None
    names = []
    for file in manifest["files"]:
        path = inside(directory, str(file["name"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        if not store.fetch(str(file["key"]), path):
            raise TemporaryError(f"{store.location}{file['key']} is named by {MANIFEST} but is not there")
        names.append(str(file["name"]))
    return names
