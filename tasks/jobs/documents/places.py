"""Reading and writing where documents and shards lie: a path, ``file://`` or ``s3://bucket/key``."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from tasks.contract import exit_codes
from tasks.jobs.program import JobError

S3: Final = "s3://"
_LASTING: Final = {"NoSuchKey", "NoSuchBucket", "AccessDenied", "InvalidBucketName", "404", "403"}
REFUSED: Final = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_CHUNK: Final = 1 << 20


def client() -> Any:
    """A client for S3 whose one stuck request does not use up the stop grace."""
    import boto3  # noqa: PLC0415  (only for what lies in S3)
    from botocore.config import Config  # noqa: PLC0415  (the same)

    retries: Any = {"mode": "standard", "total_max_attempts": 4}
    return boto3.client("s3", config=Config(connect_timeout=5, read_timeout=20, retries=retries))


def split(location: str) -> tuple[str, str]:
    """Bucket and key of an ``s3://`` location."""
    bucket, _, key = location.removeprefix(S3).partition("/")
    return bucket, key


def error_code(error: Any) -> str:
    """The code of a botocore ClientError."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what the disk and S3 raise into one line with the right exit code."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (see client)

    try:
        yield
    except ClientError as error:
        code = error_code(error)
        lasting = code in _LASTING
        exit_code = exit_codes.WRONG_INPUT if lasting else exit_codes.TRY_AGAIN
        raise JobError(f"cannot {doing}: {code}", exit_code) from None
    except BotoCoreError as error:
        raise JobError(f"cannot {doing}: {error}", exit_codes.TRY_AGAIN) from None


@contextmanager
def opened(location: str) -> Iterator[IO[bytes]]:
    """The bytes of a file or object, to be read once from the beginning.

    Raises:
        JobError: if it is not there (64), or S3 does not answer (75).
    """
    if not location.startswith(S3):
        try:
            file = Path(location.removeprefix("file://")).open("rb")  # noqa: SIM115  (closed below)
        except OSError as error:
            raise JobError(f"cannot read {location}: {error.strerror or error}") from None
        with file:
            yield file
        return
    bucket, key = split(location)
    with explained(f"read {location}"):
        body = client().get_object(Bucket=bucket, Key=key)["Body"]
        yield io.BufferedReader(_Stream(body), _CHUNK)


class _Stream(io.RawIOBase):
    """What boto3 hands out as a body, as Python's own kind of stream."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def read(location: str) -> bytes:
    """The whole content; see `opened`."""
    with opened(location) as file:
        return file.read()


def fetch(location: str, path: Path) -> None:
    """Bring a file here; see `opened`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    with opened(location) as source, beside.open("wb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
    beside.replace(path)


def store(path: Path, location: str) -> None:
    """Put a finished file at `location`. A name says its content, so one that is there already stays.

    Raises:
        JobError: if it cannot be written (73), or S3 does not answer (75).
    """
    if not location.startswith(S3):
        target = Path(location.removeprefix("file://"))
        if target == path:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        shutil.copyfile(path, beside)
        beside.replace(target)
        return
    from botocore.exceptions import ClientError  # noqa: PLC0415  (see client)

    bucket, key = split(location)
    with explained(f"write {location}"), path.open("rb") as file:
        try:
            client().put_object(Bucket=bucket, Key=key, Body=file, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error) not in REFUSED:
                raise


def listed(location: str) -> list[str]:
    """Everything below a folder, sorted: locations of files, without hidden ones.

    Raises:
        JobError: if there is no such folder (64), or S3 does not answer (75).
    """
    if not location.startswith(S3):
        root = Path(location.removeprefix("file://"))
        paths = (path for path in root.rglob("*") if path.is_file())
        return sorted(
            str(path)
            for path in paths
            if not any(part.startswith(".") for part in path.relative_to(root).parts)
        )
    bucket, prefix = split(location)
    with explained(f"list {location}"):
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return sorted(f"{S3}{bucket}/{key}" for key in keys if not key.endswith("/"))


def is_folder(location: str) -> bool:
    """Whether many documents lie below: a directory, or an S3 prefix that ends in ``/``."""
    if location.startswith(S3):
        return location.endswith("/")
    return Path(location.removeprefix("file://")).is_dir()


def write_whole(path: Path, body: bytes) -> None:
    """Replace a file at once: a kill leaves the former one or this one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    with beside.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
