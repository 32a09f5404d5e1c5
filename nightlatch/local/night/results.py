"""What the night produced: copied out of the bucket, counted, and held against the truth."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from nightlatch.operations.deployment import Deployment

_MANIFEST = "current.json"


def fetch(deployment: Deployment, job: str, step: str, into: Path) -> list[Path]:
    """Copy the published output of one step to `into`; returns the files, without the job's own state.

    Raises:
        ClientError: There is no published output.
    """
    storage = deployment.clients.client("s3")
    bucket, prefix = deployment.installation.bucket, f"outputs/{job}/{step}/"
    manifest = json.loads(storage.get_object(Bucket=bucket, Key=prefix + _MANIFEST)["Body"].read())
    copied = []
    for file in manifest["files"]:
        if PurePosixPath(file["name"]).parts[0] == "state":
            continue
        target = into / file["name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(storage.get_object(Bucket=bucket, Key=prefix + file["key"])["Body"].read())
        copied.append(target)
    return copied


def verdicts(report: Path) -> Counter[str]:
    """How many pictures got which verdict."""
    rows: list[dict[str, Any]] = json.loads(report.read_text())["pictures"]
    return Counter(row["verdict"] for row in rows)
