"""Terraform for tests: a copy of the configuration in a folder of its own, or a skip that says why."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nightlatch.local.terraform import HOW_TO_GET_IT, Terraform, find_mirror, find_program

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = os.environ.get("REQUIRE_TERRAFORM") == "1"
_NOT_COPIED = shutil.ignore_patterns(
    ".terraform", "*.tfstate*", ".terraform.lock.hcl", "interpreter", "__pycache__"
)


def need_terraform() -> None:
    """Skip the test where there is no Terraform; fail instead where it is required."""
    if find_program() is None:
        _give_up(f"there is no terraform on PATH: {HOW_TO_GET_IT}")


def need_provider() -> None:
    """The same for the AWS provider, which offline comes from a mirror only."""
    need_terraform()
    if find_mirror() is None and os.environ.get("TF_PROVIDER_ONLINE") != "1":
        _give_up(
            "there is no mirror of the AWS provider: name one in TF_PLUGIN_MIRROR,"
            " or set TF_PROVIDER_ONLINE=1 to take it from the registry"
        )


def _give_up(sentence: str) -> None:
    if REQUIRED:
        pytest.fail(f"REQUIRE_TERRAFORM=1, but {sentence}")
    pytest.skip(sentence)


def copy_of_the_configuration(folder: Path) -> Path:
    """Terraform's part of the project and what it reads, laid out as in the project; the copy's root."""
    shutil.copytree(ROOT / "terraform", folder / "terraform", ignore=_NOT_COPIED)
    shutil.copytree(ROOT / "statemachine", folder / "statemachine", ignore=_NOT_COPIED)
    shutil.copy(ROOT / "jobs.yaml", folder / "jobs.yaml")
    return folder


def jobs_module(scratch: Path) -> Terraform:
    """The provider-free module, ready for console and test."""
    need_terraform()
    return Terraform(ROOT / "terraform" / "modules" / "jobs", scratch, {"TF_DATA_DIR": str(scratch / "data")})
