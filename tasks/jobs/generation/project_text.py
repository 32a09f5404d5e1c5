"""The text of a project's file, which lies on the disk or in S3."""

from pathlib import Path
from typing import Final

from tasks.contract import exit_codes
from tasks.jobs.program import JobError

_S3: Final = "s3://"


def project_text(location: str, largest: int) -> str:
    """What is written at `location`, a path or ``s3://bucket/key``, of `largest` bytes at most.

    Raises:
        JobError: if it is not there, too large, or not UTF-8 (64), or S3 does not answer (75).
    """
    body = _from_s3(location, largest + 1) if location.startswith(_S3) else _from_disk(location, largest + 1)
    if len(body) > largest:
        raise JobError(f"{location} is larger than {largest // 2**20} MB: this is no project")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise JobError(f"{location}:{line}: not UTF-8; save the file as UTF-8") from None


def _from_disk(location: str, most: int) -> bytes:
    try:
        with Path(location.removeprefix("file://")).open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise JobError(f"cannot read the project {location}: {error.strerror or error}") from None


def _from_s3(location: str, most: int) -> bytes:
    import boto3  # noqa: PLC0415  (only for a project that lies in S3)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (the same)

    bucket, _, key = location.removeprefix(_S3).partition("/")
    try:
        body: bytes = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read(most)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        wrong = code in {"NoSuchKey", "NoSuchBucket", "AccessDenied", "InvalidBucketName"}
        raise JobError(
            f"cannot read the project {location}: {code}",
            exit_codes.WRONG_INPUT if wrong else exit_codes.TRY_AGAIN,
        ) from None
    except BotoCoreError as error:
        raise JobError(f"cannot read the project {location}: {error}", exit_codes.TRY_AGAIN) from None
    return body
