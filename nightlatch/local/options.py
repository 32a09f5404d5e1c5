from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL_ACCOUNT = "000000000000"
DEFAULT_REGION = "ap-northeast-1"
DEFAULT_PORT = 4566


@dataclass(frozen=True)
class LocalOptions:
    """How one local AWS runs.

    Attributes:
        state: The directory that holds everything; two servers never share one.
        port: The loopback port; 0 takes a free one.
        region: The region of ARNs that no request's signature tells.
        account: The account of every ARN.
        runner: Who runs tasks: plain processes, or Docker.
        images: Image name to the directory that stands for it (its ``bin`` comes first on PATH).
        workdir: Where the tasks of our own image start.
        states_endpoint: URL of another Step Functions engine that serves instead of ours.
    """

    state: Path = Path(".nightlatch/local")
    port: int = DEFAULT_PORT
    region: str = DEFAULT_REGION
    account: str = LOCAL_ACCOUNT
    runner: Literal["process", "docker"] = "process"
    images: Mapping[str, Path] = field(default_factory=dict)
    workdir: Path | None = None
    states_endpoint: str | None = None
