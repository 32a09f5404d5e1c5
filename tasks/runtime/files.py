"""Files that appear whole or not at all."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tasks.runtime.failures import CannotWriteError

_CHUNK: Final = 1 << 20
# A name with this ending is a file that its writer has not finished.
UNFINISHED: Final = ".tmp"


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write `chunks` beside `path` and rename: a reader sees the old file or the new one, never a half.

    Raises:
        OSError: disk full, no permission.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        with unfinished.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def published_files(directory: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Finished regular files under `directory`, as (name with "/", path, stat), sorted by name.

    Hidden files and those that end in ".tmp" are a writer's own and are left out, as are symbolic links:
    they could point out of the directory.
    """
    found: list[tuple[str, Path, os.stat_result]] = []
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or name.endswith(UNFINISHED):
                continue
            path = Path(folder) / name
            try:
                stat = path.lstat()
            except FileNotFoundError:
                continue  # replaced or removed since the listing
            if path.is_symlink() or not path.is_file():
                continue
            found.append((path.relative_to(directory).as_posix(), path, stat))
    yield from sorted(found)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal.

    Raises:
        OSError: if it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def inside(directory: Path, name: str) -> Path:
    """The path of `name` under `directory`.

    Raises:
        CannotWriteError: if the name leads out of it (a manifest is data from outside).
    """
    path = directory / name
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise CannotWriteError(f"the stored file name {name!r} leads out of {directory}")
    return path
