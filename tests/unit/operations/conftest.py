from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.deployments import Environment, moto_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    with moto_environment(tmp_path) as made:
        yield made
