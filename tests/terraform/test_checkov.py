"""checkov finds nothing but what is skipped with a reason."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.checkov import checkov as checkov_program
from tests.support.terraform import ROOT, copy_of_the_configuration

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONFIGURATION = ROOT / "terraform" / ".checkov.yaml"


@pytest.fixture(scope="module")
def checkov() -> str:
    return checkov_program()


def _copy(folder: Path) -> Path:
    """The configuration without its own tests: checkov's parser needs minutes for one of them."""
    root = copy_of_the_configuration(folder)
    for tests in list(root.glob("terraform/**/tests")):
        shutil.rmtree(tests)
    return root


def _failed(checkov: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [checkov, "-d", str(folder / "terraform"), "--config-file", str(CONFIGURATION)],
        # Its parser is slow; a file that it gave up would count as one without faults.
        env={**os.environ, "HCL_PARSE_TIMEOUT_SEC": "120", "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Passed checks" in done.stdout, done.stdout + done.stderr
    assert not re.search(r"Parsing errors: [1-9]", done.stdout), done.stderr
    return set(re.findall(r"^Check: (\w+):", done.stdout, re.MULTILINE))


def test_checkov_finds_nothing(checkov: str, tmp_path: Path) -> None:
    assert _failed(checkov, _copy(tmp_path)) == set()


def test_checkov_finds_planted_faults(checkov: str, tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    batch = folder / "terraform" / "modules" / "batch"
    for file, right, wrong in (
        ("artifacts.tf", "block_public_acls       = true", "block_public_acls       = false"),
        ("kms.tf", "enable_key_rotation     = true", "enable_key_rotation     = false"),
        ("state_machines.tf", "enabled = true", "enabled = false"),
    ):
        text = (batch / file).read_text(encoding="utf-8")
        assert right in text
        (batch / file).write_text(text.replace(right, wrong), encoding="utf-8")

    assert {"CKV_AWS_53", "CKV_AWS_7", "CKV_AWS_284"} <= _failed(checkov, folder)


def test_every_skip_has_a_reason() -> None:
    lines = CONFIGURATION.read_text(encoding="utf-8").splitlines()
    skips = [line for line in lines if line.lstrip().startswith("- CKV")]

    assert skips
    assert all(re.fullmatch(r"  - CKV2?_AWS_\d+\s+# \S.{20,}", line) for line in skips)
