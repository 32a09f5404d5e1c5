"""The place where checkpoints and outputs are kept: S3, or a directory, behind one small interface."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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
