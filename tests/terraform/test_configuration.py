"""The configuration as text: every root is valid, everything is described, environments differ little."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import pytest

from nightlatch.catalog import declared_environments, load_catalog
from nightlatch.local.terraform import Terraform
from tests.support.terraform import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "terraform"
MODULES = sorted(
    {it.parent.relative_to(FOLDER) for it in FOLDER.rglob("*.tf") if ".terraform" not in it.parts}
)
ROOTS = [it for it in MODULES if it.parts[0] != "modules"]
BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


def _blocks(text: str) -> list[tuple[str, str, str]]:
    return [(match[1], match[2], match[3]) for match in BLOCK.finditer(text)]


def _text(folder: Path) -> str:
    return "\n".join(it.read_text(encoding="utf-8") for it in sorted(folder.glob("*.tf")))


def undescribed(text: str) -> list[str]:
    """Variables without type or description, and outputs without description."""
    wanted = {"variable": ("type", "description"), "output": ("description",)}
    return [
        f"{kind} {name} has no {member}"
        for kind, name, body in _blocks(text)
        for member in wanted[kind]
        if not re.search(rf"^  {member}\s+=", body, re.MULTILINE)
    ]


def unused(text: str) -> list[str]:
    """Variables that nothing but their own validation reads."""
    rest = BLOCK.sub(lambda match: match[0] if match[1] == "output" else "", text)
    names = [name for kind, name, _ in _blocks(text) if kind == "variable"]
    return [name for name in names if not re.search(rf"\bvar\.{name}\b", rest)]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("root", ROOTS, ids=str)
def test_every_root_is_valid(configuration: Path, tmp_path: Path, root: Path) -> None:
    terraform = Terraform(
        configuration / "terraform" / root, tmp_path, {"TF_DATA_DIR": str(tmp_path / "data")}
    )
    terraform.run("init", "-backend=false")

    terraform.run("validate")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_variables_and_outputs_are_typed_described_and_used(module: Path) -> None:
    text = _text(FOLDER / module)

    assert undescribed(text) == []
    assert unused(text) == []


def test_an_undescribed_or_unused_variable_is_noticed() -> None:
    text = 'variable "a" {\n  type = string\n}\n\noutput "b" {\n  value = 1\n}\n'

    assert undescribed(text) == ["variable a has no description", "output b has no description"]
    assert unused(text) == ["a"]


def test_there_is_something_to_check() -> None:
    assert {str(it) for it in ROOTS} == {
        *("bootstrap", "environments/dev", "environments/prod", "environments/stg"),
        *("examples/complete", "examples/existing-vpc"),
    }


@pytest.mark.parametrize("other", ["stg", "prod"])
def test_environments_differ_a_little_only(other: str) -> None:
    def lines(environment: str) -> list[str]:
        text = _text(FOLDER / "environments" / environment)
        return text.replace(environment, "ENVIRONMENT").splitlines()

    difference = [
        line for line in difflib.unified_diff(lines("dev"), lines(other), lineterm="", n=0) if line[0] in "+-"
    ]

    assert len(difference) <= 12, difference


def test_each_environment_has_a_state_of_its_own() -> None:
    keys = {
        re.search(r'key\s+= "([^"]+)"', (FOLDER / "environments" / it / "backend.tf").read_text())[1]  # type: ignore[index]
        for it in ("dev", "stg", "prod")
    }

    assert keys == {f"nightlatch/{it}/terraform.tfstate" for it in ("dev", "stg", "prod")}


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("jobs.yaml")), ids=lambda it: it.parent.name)
def test_the_jobs_files_of_examples_and_tests_are_right(file: Path) -> None:
    for environment in declared_environments(file):
        assert load_catalog(file, environment).jobs


def test_no_lock_file_for_one_platform_is_committed() -> None:
    """One made offline has one platform's checksum, and every other platform's init would fail."""
    assert list(FOLDER.rglob(".terraform.lock.hcl")) == []
