"""A short run of the chaos; `make chaos` is the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.local_aws import LocalAws, clean_environment, local_aws
from tests.support.postgres import find_program, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["local_aws"]

ROOT = Path(__file__).parents[2]
FENCED = ("transaction", "item", "s3")


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[str, ...]]:
    """A PostgreSQL for all runs, where there is one; without it the other resources are still tried."""
    if not (find_program("initdb") and find_program("postgres")):
        yield ()
        return
    with postgres() as server:
        yield ("--postgres", server.url)


def chaos(server: LocalAws, *words: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, the last line, and everything that was printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.run", "--endpoint", server.url, *words],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_forbidden_happens(local_aws: LocalAws, database: tuple[str, ...]) -> None:
    status, last, shown = chaos(local_aws, *database, "--workers", "2", "--enough", "1", "--seconds", "100")

    assert status == 0, shown
    counts = last["chaos"]
    assert counts["enter"] > 0
    assert counts["took_over"] > 0
    assert counts["killed"] > 0
    # Each resource has refused a holder that slept until somebody else had its lock.
    fenced = [*FENCED, *(["postgres"] if database else [])]
    assert all(counts.get(f"stale_write_refused_by_{resource}", 0) > 0 for resource in fenced), shown
    assert shown.count("explanations at once: linearizable") == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mutant", "shows"),
    [
        ("unconditional-release", "not_linearizable"),
        ("shared-grant", "overlap"),
        ("standing-fence", "token_reused"),
    ],
)
def test_a_broken_lock_is_found_out(
    local_aws: LocalAws, database: tuple[str, ...], tmp_path: Path, mutant: str, shows: str
) -> None:
    # Trouble comes by chance, and now and then a few seconds of it are not enough.
    for seed in ("1", "2", "3", "4"):
        options = ["--workers", "2", "--enough", "2", "--seconds", "60", "--seed", seed, "--break", mutant]
        status, last, shown = chaos(local_aws, *database, "--histories", str(tmp_path), *options)
        if status == 1 and last["chaos"].get(shows, 0) > 0:
            break

    assert status == 1, shown
    assert last["chaos"].get(shows, 0) > 0, shown
    assert "VIOLATION" in shown
    assert list(tmp_path.glob("*.jsonl")), "a failing run keeps its histories"
    # Nothing is dropped: what was counted lies with the histories.
    kept = json.loads((tmp_path / "anomalies.json").read_text())
    assert sum(anomaly["kind"] == shows for anomaly in kept) == last["chaos"][shows]
