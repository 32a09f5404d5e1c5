"""The bench of the sitemaps at a reduced size: it runs, and what it measures is what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import find_program

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_bench_of_sitemaps_measures_writers_and_database() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.sitemap", "--pages", "3000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["bench"] == "sitemap"
    wanted = {"writer_times_lxml_xmlfile", "writer_peak_megabytes"}
    if find_program("postgres") and find_program("initdb"):
        wanted.add("from_postgres_share_of_drain")
    assert set(last["met"]) == set(last["goals"]) == wanted
    assert all(value > 0 for value in last["figures"].values())
    # Constant from the first thousand pages on, so it holds at any size.
    assert last["met"]["writer_peak_megabytes"]
