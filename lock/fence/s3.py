"""Fenced publishing to S3: a small manifest names the data, and only conditional writes change it.

S3 compares ETags, not numbers. So: write the data under keys that contain the token, read the manifest,
refuse if its token is greater, and replace it on the condition that it is still the one that was read.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from lock.errors import FencedError, ItemError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_boto3_s3 import S3Client

SCHEMA_VERSION: Final = 1

# Each round lost means that another writer won it; a writer with a smaller token then stops for good.
_TRIES: Final = 20
# 412: the manifest is not the one that was read. 409: a conditional write of another was under way.
_LOST_RACE: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_MISSING: Final = frozenset({"NoSuchKey", "404"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is published: by whose token, and what.

    Attributes:
        token: of the holder that published it.
        content: JSON-serializable; for instance the keys of the data and their checksums.
        etag: of the object as read; None for one that does not exist yet.
    """

    token: int
    content: Mapping[str, Any] = field(default_factory=dict)
    etag: str | None = None


def read_manifest(client: S3Client, bucket: str, key: str) -> Manifest:
    """The published manifest; token -1 if nothing is published yet."""
    try:
        reply = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return Manifest(token=-1)
        raise
    document = json.loads(reply["Body"].read())
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise ItemError(f"s3://{bucket}/{key}", "it is not a manifest of this version")
    return Manifest(token=document["token"], content=document["content"], etag=reply["ETag"])


def publish_manifest(
    client: S3Client, bucket: str, key: str, *, token: int, content: Mapping[str, Any]
) -> Manifest:
    """Replace the manifest, unless a greater token has been here.

    Publishing again with the same token replaces what it published before. With the content as it is, it is
    also how a new holder shows its token before its first use.

    Raises:
        FencedError: the token is too old. Nothing was written.
        StoreUnavailableError: others kept writing at the same time; try again.
    """
    body = json.dumps({"schema_version": SCHEMA_VERSION, "token": token, "content": dict(content)})
    for _ in range(_TRIES):
        seen = read_manifest(client, bucket, key)
        if seen.token > token:
            raise FencedError(f"s3://{bucket}/{key}", token)
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if seen.etag is None else {"IfMatch": seen.etag}
        try:
            reply = client.put_object(
                Bucket=bucket, Key=key, Body=body.encode(), ContentType="application/json", **condition
            )
        except ClientError as error:
            # NoSuchKey: deleted between the read and the write; the next round creates it.
            if error.response["Error"]["Code"] in _LOST_RACE | _MISSING:
                continue
            raise
        return Manifest(token=token, content=content, etag=reply["ETag"])
    raise StoreUnavailableError("PutObject", TimeoutError(f"s3://{bucket}/{key} keeps changing"))
