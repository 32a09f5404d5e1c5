"""A job whose image is not built on ours starts behind a container of ours that claims the lock."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("foreign")
    # An image with a shell and nothing of ours.
    image = folder / "image" / "bin"
    image.mkdir(parents=True)
    for program in ("sh", "cat", "cp"):
        (image / program).symlink_to(shutil.which(program) or program)
    built = Installation(folder, up_options=["--image", f"shop={folder / 'image'}"])
    built.add_job(
        "foreign",
        {"command": ["sh", "-c", f"cp /nightlatch/token {folder}/token && cat /nightlatch/claim.env"]},
        image="shop",
        claim_container=True,
    )
    built.add_job(
        "by-itself",
        {"command": ["sh", "-c", f"cp /nightlatch/token {folder}/never"]},
        image="shop",
    )
    built.up()
    yield built
    built.down()


def test_the_job_finds_the_token_that_the_claim_container_got(house: Installation) -> None:
    before = int(house.lock("foreign").get("fence", {"N": "0"})["N"])

    house.cli("run", "foreign", "--wait")

    token = int((house.root / "token").read_text(encoding="utf-8"))
    assert before < token < int(house.lock("foreign")["fence"]["N"]), "one claim, then one release"
    assert house.lock_is_free("foreign")
    assert f"NIGHTLATCH_TOKEN={token}" in house.cli("logs", "foreign").stdout


def test_without_the_claim_container_such_an_image_never_works(house: Installation) -> None:
    """Our entry point is not in it, so it does not start: safe, and told as what it is."""
    house.cli("run", "by-itself", "--wait", expect=1)

    assert not (house.root / "never").exists()
    assert house.lock_is_free("by-itself")
