"""How the project finds Terraform and its provider, and what it says where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nightlatch.local.terraform import Terraform, TerraformError, cli_configuration, find_mirror
from tests.support.terraform import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def variable() -> Iterator[dict[str, str]]:
    """Environment variables of this process, put back afterwards."""
    before = dict(os.environ)
    yield os.environ  # type: ignore[misc]
    os.environ.clear()
    os.environ.update(before)


def _mirror(folder: Path) -> Path:
    (folder / "registry.terraform.io" / "hashicorp" / "aws" / "5.100.0").mkdir(parents=True)
    return folder


def test_a_named_mirror_is_taken_with_or_without_its_last_folder(
    variable: dict[str, str], tmp_path: Path
) -> None:
    mirror = _mirror(tmp_path)

    for name in (mirror, mirror / "registry.terraform.io"):
        variable["TF_PLUGIN_MIRROR"] = str(name)
        assert find_mirror() == mirror


def test_what_the_mirror_has_is_never_asked_of_the_registry(tmp_path: Path) -> None:
    text = cli_configuration(_mirror(tmp_path))

    mirrored, direct = text.split("direct")
    assert f'path    = "{tmp_path}"' in mirrored
    assert 'include = ["registry.terraform.io/hashicorp/aws"]' in mirrored
    assert 'exclude = ["registry.terraform.io/hashicorp/aws"]' in direct


def test_without_the_program_the_error_says_how_to_get_it(variable: dict[str, str], tmp_path: Path) -> None:
    variable["TERRAFORM"] = "no-such-terraform"

    with pytest.raises(TerraformError, match="there is no terraform on PATH: install Terraform"):
        Terraform(tmp_path, tmp_path).run("version")


def test_a_shell_that_points_at_a_real_account_does_not_reach_terraform(
    variable: dict[str, str], tmp_path: Path
) -> None:
    variable |= {"AWS_PROFILE": "production", "AWS_ENDPOINT_URL_S3": "https://s3.example", "TF_VAR_x": "1"}
    program = tmp_path / "terraform"
    program.write_text(f"#!/bin/sh\n{sys.executable} -c 'import os; print(sorted(os.environ))'\n")
    program.chmod(0o755)
    variable["TERRAFORM"] = str(program)

    said = Terraform(tmp_path, tmp_path, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).run("plan")

    assert "'AWS_ENDPOINT_URL'" in said
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "TF_VAR_x"):
        assert name not in said


@pytest.mark.slow
@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("1", "1 failed")])
def test_without_terraform_its_tests_are_skipped_unless_it_is_required(required: str, outcome: str) -> None:
    test = "tests/terraform/test_batch_module.py::test_the_configuration_is_formatted"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env={**os.environ, "TERRAFORM": "no-such-terraform", "REQUIRE_TERRAFORM": required},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in done.stdout, done.stdout
    assert "there is no terraform on PATH: install Terraform 1.11 or later" in done.stdout
