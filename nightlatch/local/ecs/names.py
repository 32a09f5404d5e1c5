from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from nightlatch.local.api_error import ApiError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


@dataclass(frozen=True)
class Names:
    """Builds and reads the ARNs of one region and account.

    Attributes:
        region: Such as ``ap-northeast-1``.
        account: Twelve digits.
    """

    region: str
    account: str

    def cluster(self, name: str) -> str:
        """The ARN of a cluster."""
        return self._arn(f"cluster/{name}")

    def definition(self, family: str, revision: int) -> str:
        """The ARN of a task definition."""
        return self._arn(f"task-definition/{family}:{revision}")

    def task(self, cluster: str, task_id: str) -> str:
        """The ARN of a task, in the long format that names the cluster."""
        return self._arn(f"task/{cluster}/{task_id}")

    def container(self, cluster: str, task_id: str) -> str:
        """A fresh ARN for a container of a task."""
        return self._arn(f"container/{cluster}/{task_id}/{uuid.uuid4()}")

    def _arn(self, resource: str) -> str:
        return f"arn:aws:ecs:{self.region}:{self.account}:{resource}"


def cluster_name(reference: str | None) -> str:
    """The name in a cluster name or ARN; ``default`` when there is none.

    Raises:
        ApiError: ``InvalidParameterException`` for something that cannot name a cluster.
    """
    name = (reference or "default").rpartition(":cluster/")[2]
    if not _NAME.fullmatch(name):
        raise ApiError(
            "InvalidParameterException",
            f"Invalid identifier: Identifier is for cluster. Your identifier is {reference}",
        )
    return name


def task_id(reference: str) -> str:
    """The id in a task id or ARN (old and new format)."""
    return reference.rpartition("/")[2]


def family_and_revision(reference: str) -> tuple[str, int | None]:
    """Split ``family``, ``family:revision`` or a task definition's ARN.

    Raises:
        ApiError: ``ClientException`` for a revision that is not a number.
    """
    name = reference.rpartition(":task-definition/")[2]
    family, colon, revision = name.partition(":")
    if not colon:
        return family, None
    if not revision.isdigit():
        raise ApiError("ClientException", f"Invalid revision number. Number: {revision}")
    return family, int(revision)


def require_name(value: object, what: str) -> str:
    """The value, if it is a name that ECS accepts.

    Raises:
        ApiError: ``ClientException``; letters, digits, hyphens and underscores, at most 255.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ApiError("ClientException", f"{what} contains invalid characters or is too long: {value!r}.")
    return value
