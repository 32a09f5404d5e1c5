"""The place that a site serves its files from: a bucket, or a directory. Written to by conditions only."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tasks.contract import exit_codes
from tasks.jobs.program import JobError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONFIG: Final = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5}
)
# A part never changes; the entrance is asked for again.
_PART: Final = "public, max-age=31536000, immutable"
_ENTRANCE: Final = "public, max-age=300"
_REFUSED: Final = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_ABSENT: Final = {"NoSuchKey", "404", "NotFound"}
_LASTING: Final = {
    *("AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "InvalidBucketName", "NoSuchBucket"),
    *("PermanentRedirect", "SignatureDoesNotMatch", "403"),
}
_TYPES: Final = {
    ".atom.xml": "application/atom+xml",
    ".rss.xml": "application/rss+xml",
    ".xml": "application/xml",
    ".gz": "application/gzip",
}
_LOCK_FILE: Final = ".nightlatch-lock"


class ChangedError(Exception):
    """The file was not as the condition said: somebody else wrote it."""


@dataclass(frozen=True, slots=True)
class Served:
    """A file as readers see it, and the tag that names this version of it."""

    body: bytes
    tag: str


class SiteStore(Protocol):
    """Files of a site under one location. Every method raises JobError when the place fails it."""

    location: str

    def read(self, name: str) -> Served | None:
        """The file, or None if there is none."""

    def create(self, name: str, body: bytes) -> bool:
        """Make a new file, whole or not at all; False if there is one of that name."""

    def switch(self, name: str, body: bytes, tag: str | None) -> None:
        """Replace the file whose tag is `tag`; None: only if there is no such file.

        Raises ChangedError.
        """

    def names(self) -> list[str]:
        """All files directly in the place, sorted."""

    def delete(self, names: list[str]) -> None:
        """Remove files."""


def open_site(location: str) -> SiteStore:
    """Open ``s3://bucket/prefix/`` or a directory.

    Raises:
        JobError: for any other location.
    """
    parts = urlsplit(location)
    if parts.scheme == "s3" and parts.netloc:
        return S3Site(parts.netloc, parts.path.lstrip("/"))
    if not parts.scheme and location:
        return DirectorySite(Path(location))
    raise JobError(f"cannot publish to {location!r}: it is neither s3://bucket/prefix/ nor a directory")


class S3Site:
    """Files of `bucket` under `prefix`."""

    def __init__(self, bucket: str, prefix: str, client: "S3Client | None" = None) -> None:
        self._bucket = bucket
        self._prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"
        self._client: S3Client = client or boto3.client("s3", config=CONFIG)
        self.location = f"s3://{bucket}/{self._prefix}"

    def read(self, name: str) -> Served | None:
        """See SiteStore."""
        with self._explained(f"read {name}"):
            try:
                reply = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
            return Served(reply["Body"].read(), reply["ETag"])

    def create(self, name: str, body: bytes) -> bool:
        """See SiteStore."""
        with self._explained(f"write {name}"):
            try:
                self._put(name, body, _PART, IfNoneMatch="*")
            except ChangedError:
                return False
            return True

    def switch(self, name: str, body: bytes, tag: str | None) -> None:
        """See SiteStore."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with self._explained(f"write {name}"):
            self._put(name, body, _ENTRANCE, **condition)

    def names(self) -> list[str]:
        """See SiteStore."""
        found: list[str] = []
        with self._explained("list"):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"):
                found += [item["Key"].removeprefix(self._prefix) for item in page.get("Contents", [])]
        return sorted(found)

    def delete(self, names: list[str]) -> None:
        """See SiteStore."""
        for name in names:
            with self._explained(f"delete {name}"):
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def _put(self, name: str, body: bytes, cache: str, **condition: str) -> None:
        kind = next((kind for ending, kind in _TYPES.items() if name.endswith(ending)), None)
        more: dict[str, Any] = {**condition, **({"ContentType": kind} if kind else {})}
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + name, Body=body, CacheControl=cache, **more
            )
        except ClientError as error:
            if _code(error) in _REFUSED:
                raise ChangedError(name) from None
            raise

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code, message = _code(error), error.response.get("Error", {}).get("Message", "")
            raise JobError(
                f"cannot {doing} in {self.location}: S3 answered {code}: {message}",
                exit_codes.CANNOT_WRITE if code in _LASTING else exit_codes.TRY_AGAIN,
            ) from None
        except BotoCoreError as error:
            raise JobError(f"cannot {doing} in {self.location}: {error}", exit_codes.TRY_AGAIN) from None


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "unknown")


class DirectorySite:
    """Files of a directory, with the same conditions, checked under an advisory lock on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.location = f"{directory.absolute()}/"

    def read(self, name: str) -> Served | None:
        """See SiteStore."""
        try:
            body = (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None
        return Served(body, _tag(body))

    def create(self, name: str, body: bytes) -> bool:
        """See SiteStore."""
        with self._locked():
            if (self._directory / name).exists():
                return False
            self._replace(name, body)
            return True

    def switch(self, name: str, body: bytes, tag: str | None) -> None:
        """See SiteStore."""
        with self._locked():
            there = self.read(name)
            if (there.tag if there else None) != tag:
                raise ChangedError(name)
            self._replace(name, body)

    def names(self) -> list[str]:
        """See SiteStore."""
        return sorted(it.name for it in self._directory.iterdir() if it.is_file() and it.name[0] != ".")

    def delete(self, names: list[str]) -> None:
        """See SiteStore."""
        for name in names:
            (self._directory / name).unlink(missing_ok=True)

    def _replace(self, name: str, body: bytes) -> None:
        beside = self._directory / f".{name}.tmp"
        try:
            with beside.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._directory / name)
        finally:
            beside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / _LOCK_FILE).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
