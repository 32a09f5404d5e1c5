"""Checkpoints and outputs in S3, by conditional writes (If-Match, If-None-Match)."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tasks.runtime.failures import CannotWriteError, TemporaryError
from tasks.runtime.files import replace_file
from tasks.runtime.store import ConditionFailedError, Stored

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# One stuck request must not use up the stop grace.
CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 4},
    s3={"addressing_style": "auto"},
)
_CHUNK = 1 << 20
_DELETE_AT_ONCE = 1000
# Codes that will not go away by trying again. Everything else S3 says is taken as temporary.
_LASTING = {
    "AccessDenied",
    "AllAccessDisabled",
    "AccountProblem",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "NoSuchBucket",
    "PermanentRedirect",
    "SignatureDoesNotMatch",
    "403",
}
_REFUSED = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_ABSENT = {"NoSuchKey", "404", "NotFound"}


class S3Store:
    """Objects of `bucket` under `prefix`."""

    def __init__(self, bucket: str, prefix: str, client: "S3Client | None" = None) -> None:
        self._bucket = bucket
        self._prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"
        self._client: S3Client = client or boto3.client("s3", config=CONFIG)
        self.location = f"s3://{bucket}/{self._prefix}"

    def read(self, key: str) -> Stored | None:
        """See ObjectStore."""
        with self._explained(f"read {key}"):
            reply = self._get(key)
            return None if reply is None else Stored(reply["Body"].read(), reply["ETag"])

    def fetch(self, key: str, path: Path) -> bool:
        """See ObjectStore."""
        with self._explained(f"fetch {key}"):
            reply = self._get(key)
            if reply is None:
                return False
            replace_file(path, reply["Body"].iter_chunks(_CHUNK))
            return True

    def write(self, key: str, body: bytes, *, if_match: str | None) -> str:
        """See ObjectStore."""
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if if_match is None else {"IfMatch": if_match}
        with self._explained(f"write {key}"):
            reply = self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=body,
                ContentType="application/json",
                **condition,
            )
            return reply["ETag"]

    def upload(self, key: str, path: Path) -> None:
        """See ObjectStore."""
        with (
            contextlib.suppress(ConditionFailedError),
            self._explained(f"upload {key}"),
            path.open("rb") as file,
        ):
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=file, IfNoneMatch="*", **_described(path)
            )

    def keys(self, prefix: str) -> list[str]:
        """See ObjectStore."""
        found: list[str] = []
        with self._explained(f"list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                found += [item["Key"].removeprefix(self._prefix) for item in page.get("Contents", [])]
        return sorted(found)

    def delete(self, keys: list[str]) -> None:
        """See ObjectStore."""
        for start in range(0, len(keys), _DELETE_AT_ONCE):
            some = keys[start : start + _DELETE_AT_ONCE]
            with self._explained("delete old objects"):
                self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": [{"Key": self._prefix + key} for key in some], "Quiet": True},
                )

    def _get(self, key: str) -> Any:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turn what botocore and the disk raise into one line with the right exit code."""
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code in _REFUSED:
                raise ConditionFailedError(code) from None
            message = error.response.get("Error", {}).get("Message", "")
            text = f"cannot {doing} in {self.location}: S3 answered {code}: {message}"
            raise (CannotWriteError if code in _LASTING else TemporaryError)(text) from None
        except BotoCoreError as error:
            raise TemporaryError(f"cannot {doing} in {self.location}: {error}") from None
        except OSError as error:
            raise CannotWriteError(f"cannot {doing} in {self.location}: {error.strerror or error}") from None


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "unknown")


def _described(path: Path) -> Any:
    """Content type by the file's name, so that a report opens in a browser."""
    kind = _CONTENT_TYPES.get(path.suffix.lower())
    return {} if kind is None else {"ContentType": kind}


_CONTENT_TYPES = {
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv; charset=utf-8",
    ".xml": "application/xml",
}
