"""Terraform on the local AWS: the same configuration that goes to a real account, applied on this machine.

``python -m nightlatch.local.terraform_story`` (``make local-apply``) plays it as a story: plan, apply, a
second plan that must be empty, a run by hand and one by the schedule on what Terraform made, destroy.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from nightlatch.installation import LOCAL_ACCOUNT, LOCAL_REGION
from nightlatch.local.terraform import Terraform, TerraformError

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = "terraform/examples/complete"

# On this machine a request that failed will fail again, and the endpoint speaks plain HTTP. Nothing may reach
# another account.
_OVERRIDE = f"""\
provider "aws" {{
  max_retries         = 3
  allowed_account_ids = ["{LOCAL_ACCOUNT}"]
}}

module "batch" {{
  encrypted_transport_only = false
}}
"""
_NOT_COPIED = shutil.ignore_patterns(
    ".terraform", "*.tfstate*", ".terraform.lock.hcl", "__pycache__", "interpreter"
)
_PLAN = "planned.tfplan"
_REFRESHING = re.compile(r"^.*: (?:Refreshing state|Reading|Read complete|Still reading).*\n", re.MULTILINE)


class LocalApply:
    """One configuration on one local AWS. The configuration is copied, so a working tree stays as it is.

    Args:
        project: The project's folder, with ``terraform/`` and ``statemachine/``.
        folder: An empty folder for the copy and the state.
        endpoint: The local AWS's URL.
        jobs_file: The jobs file to put on it; its environments must have ``local``.
    """

    def __init__(self, project: Path, folder: Path, endpoint: str, jobs_file: Path) -> None:
        self.copy = folder / "configuration"
        for part in ("terraform", "statemachine"):
            shutil.copytree(project / part, self.copy / part, ignore=_NOT_COPIED)
        root = self.copy / EXAMPLE
        (root / "local_override.tf").write_text(_OVERRIDE, encoding="utf-8")
        self._variables = ("-var=environment=local", f"-var=jobs_file={jobs_file}")
        self.terraform = Terraform(
            root,
            folder,
            {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_REGION": LOCAL_REGION,
                "AWS_ACCESS_KEY_ID": "local",
                "AWS_SECRET_ACCESS_KEY": "local",
            },
        )

    def init(self) -> None:
        """Find the modules and the provider."""
        self.terraform.run("init", "-input=false")

    def plan(self) -> str:
        """What an apply would change, as Terraform tells people; empty when there is nothing to change."""
        said = self.terraform.run(
            *("plan", "-input=false", "-detailed-exitcode", f"-out={_PLAN}", *self._variables), accept=(0, 2)
        )
        told = _REFRESHING.sub("", said).partition("\nSaved the plan to:")[0].strip("\n─ ")
        return "" if "No changes." in told else told

    def apply(self) -> str:
        """Apply what was planned last; Terraform's last words, with the numbers."""
        return _summary(self.terraform.run("apply", "-input=false", _PLAN), "Apply complete!")

    def destroy(self) -> str:
        """Destroy everything; Terraform's last words, with the numbers."""
        said = self.terraform.run("destroy", "-input=false", "-auto-approve", *self._variables)
        return _summary(said, "Destroy complete!")


def _summary(said: str, beginning: str) -> str:
    for line in said.splitlines():
        if line.startswith(beginning):
            return line
    raise TerraformError(f"terraform did not say {beginning!r}:\n{said}")
