"""The place where checkpoints and outputs are kept: S3, or a directory, behind one small interface."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from tasks.runtime.failures import WrongInputError


class ConditionFailedError(Exception):
    """The object was not as the condition said (HTTP 412 on S3): somebody else wrote it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as read: its bytes and the tag that names this version of it."""

    body: bytes
    etag: str


class ObjectStore(Protocol):
    """Objects under one location. Keys are relative to it, with "/" between their parts.

    Every method raises TemporaryError or CannotWriteError when the store does not do its work.
    """

    location: str

    def read(self, key: str) -> Stored | None:
        """The object, or None if there is none."""

    def fetch(self, key: str, path: Path) -> bool:
        """Copy the object into the file `path`, which appears whole or not at all; False if there is none."""

    def write(self, key: str, body: bytes, *, if_match: str | None) -> str:
        """Replace the object whose tag is `if_match`; None: only if there is no such object.

        Returns the new tag. Raises ConditionFailedError.
        """

    def upload(self, key: str, path: Path) -> None:
        """Write the file as a new object; one that is there already is left as it is."""

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, sorted."""

    def delete(self, keys: list[str]) -> None:
        """Remove objects; one that is not there counts as removed."""


def open_store(location: str) -> ObjectStore:
    """Open ``s3://bucket/prefix/``, ``file:///directory/`` or a plain directory.

    Raises:
        WrongInputError: for any other location.
    """
    parts = urlsplit(location)
    if parts.scheme == "s3" and parts.netloc:
        from tasks.runtime.s3_store import S3Store  # noqa: PLC0415  (boto3 is slow to import)

        return S3Store(parts.netloc, parts.path.lstrip("/"))
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        path = Path(unquote(parts.path))
    elif not parts.scheme and location:
        path = Path(location)
    else:
        raise WrongInputError(f"location {location!r} is neither s3://bucket/prefix/ nor file:///directory/")
    from tasks.runtime.directory_store import DirectoryStore  # noqa: PLC0415  (only one of the two is needed)

    return DirectoryStore(path)
