from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nightlatch.local.terraform import Terraform
from tests.support.once import once_per_run
from tests.support.planned import Documents
from tests.support.terraform import copy_of_the_configuration, need_provider

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the configuration whose modules are initialised. Nobody changes it."""

    def make(folder: Path) -> None:
        need_provider()
        root = copy_of_the_configuration(folder)
        for module in ("modules/batch", "modules/network", "bootstrap"):
            Terraform(root / "terraform" / module, folder).run("init", "-backend=false")

    return once_per_run(tmp_path_factory, "configuration", make)


@pytest.fixture(scope="session")
def documents(configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """Every policy and definition of the module's fullest plan."""

    return _planned(configuration, tmp_path_factory, "modules/batch", "fullest")


@pytest.fixture(scope="session")
def bootstrap_documents(configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """Every policy of the bootstrap's plan."""
    return _planned(configuration, tmp_path_factory, "bootstrap", "plan")


def _planned(configuration: Path, factory: pytest.TempPathFactory, module: str, test: str) -> Documents:
    """The resources of the first run of a module's test file."""

    def make(folder: Path) -> None:
        terraform = Terraform(configuration / "terraform" / module, configuration)
        said = terraform.run("test", "-json", "-verbose", f"-filter=tests/{test}.tftest.hcl")
        plan = next(it for it in map(json.loads, said.splitlines()) if it["type"] == "test_plan")
        changes = plan["test_plan"]["resource_changes"]
        planned = {it["address"]: it["change"]["after"] for it in changes}
        (folder / "planned.json").write_text(json.dumps(planned), encoding="utf-8")

    folder = once_per_run(factory, f"planned-{module.replace('/', '-')}", make)
    return Documents(json.loads((folder / "planned.json").read_text(encoding="utf-8")))
