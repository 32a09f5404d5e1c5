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

    def make(folder: Path) -> None:
        module = Terraform(configuration / "terraform" / "modules" / "batch", configuration)
        said = module.run("test", "-json", "-verbose", "-filter=tests/fullest.tftest.hcl")
        for line in said.splitlines():
            event = json.loads(line)
            if event["type"] == "test_plan":
                changes = event["test_plan"]["resource_changes"]
                planned = {it["address"]: it["change"]["after"] for it in changes}
                (folder / "planned.json").write_text(json.dumps(planned), encoding="utf-8")

    folder = once_per_run(tmp_path_factory, "documents", make)
    return Documents(json.loads((folder / "planned.json").read_text(encoding="utf-8")))
