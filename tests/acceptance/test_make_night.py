"""`make night` as a newcomer runs it, on pages that nobody here wrote."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEBIAN_MANUALS = [
    Path("/usr/share/doc/debian-handbook/html/ja-JP"),
    Path("/usr/share/doc/debian-handbook/html/en-US"),
    Path("/usr/share/doc/installation-guide-amd64/en"),
]

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(400)]


def night(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "NIGHTLATCH_"))}
    return subprocess.run(
        [sys.executable, "-m", "nightlatch.local.night", "--root", str(root), *options],
        cwd=ROOT,
        env=clean,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def left_behind(root: Path) -> list[str]:
    """Command lines of processes that the night did not end."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("NIGHTLATCH_NIGHT") == str(root):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_a_night_tells_its_stories_publishes_right_results_and_leaves_nothing_behind(tmp_path: Path) -> None:
    root = tmp_path / "night"
    (root / "aws").mkdir(parents=True)
    (root / "aws" / "endpoint.json").write_text('{"url": "http://127.0.0.1:9", "pid": 1, "port": 9}')  # stale

    told = night(root)

    assert told.returncode == 0, told.stdout + told.stderr
    assert re.search(r"second start\s+skipped: the lock is held by nightly-articles-", told.stdout)
    gone = re.search(r"every process of the task is gone after ([\d.]+) s", told.stdout)
    free = re.search(r"the lock is free after ([\d.]+) s: after the processes", told.stdout)
    assert gone
    assert free
    assert float(gone.group(1)) <= float(free.group(1))
    before, after = (int(number) for number in re.findall(r"killed .*token (\d+)", told.stdout))
    assert after > before
    assert "outcome: succeeded" in told.stdout
    results = root / "results"
    assert (results / "generate" / "sitemap.xml").read_text().startswith("<?xml")
    report = json.loads((results / "check" / "missing-images.json").read_text())
    assert report["bad"] > 0
    assert left_behind(root) == []


def test_a_night_on_a_debian_manual(tmp_path: Path) -> None:
    manual = next((path for path in DEBIAN_MANUALS if path.is_dir()), None)
    if manual is None:
        pytest.skip("no Debian manual here; on Debian: apt-get install debian-handbook")
    pages = tmp_path / "manual"
    shutil.copytree(manual, pages)

    told = night(tmp_path / "night", "--articles", str(pages))

    assert told.returncode == 0, told.stdout + told.stderr
    assert "outcome: succeeded" in told.stdout
    report = json.loads((tmp_path / "night" / "results" / "check" / "missing-images.json").read_text())
    assert report["articles"] == len([path for path in pages.rglob("*.html") if path.is_file()])
    assert report["pictures"] > 0


def test_a_folder_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    told = night(tmp_path / "night", "--articles", str(tmp_path / "nowhere"))

    assert told.returncode == 2
    assert "nowhere is not a folder" in told.stderr
    assert "Traceback" not in told.stderr
