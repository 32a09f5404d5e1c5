"""What the night produced: copied out of the bucket, counted, and held against the truth."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
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


def verdicts(findings: Path) -> dict[str, str]:
    """URL of each checked picture, and what was said of it."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in findings.read_text().splitlines()]
    return {row["url"]: row["verdict"] for row in rows}


def wrong(found: Mapping[str, str], truth: Mapping[str, str]) -> dict[str, str]:
    """Where the job and the picture server, which knows what it did, disagree: URL to a sentence."""
    return {
        url: f"said {said}, true is {truth[url]}"
        for url, said in found.items()
        if truth.get(url, said) != said
    }
