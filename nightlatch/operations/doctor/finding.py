"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlatch.operations.deployment import Deployment

OK, WARNING, FAULT, SKIPPED = "ok", "warning", "fault", "skipped"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        result: ok, warning, fault, or skipped because something it needs is at fault.
        found: What there is.
        fix: What to do; None when nothing is to be done.
    """

    check: str
    result: str
    found: str
    fix: str | None = None


def deploy_again(deployment: Deployment) -> str:
    """The command that puts missing parts of an installation in place."""
    return "nightlatch local up --detach" if is_local(deployment) else "terraform apply"


def is_local(deployment: Deployment) -> bool:
    """Whether this is the local AWS, which needs no roles and whose operator sits in front of it."""
    return deployment.installation.environment == "local"
