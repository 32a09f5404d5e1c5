"""The bench of the documents in a small size: it runs, and what must be zero is zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.documents import measure_faults, measure_memory, measure_rate
from bench.report import Report

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_the_bench_in_small(tmp_path: Path) -> None:
    report = Report("documents")
    (tmp_path / "memory").mkdir()
    (tmp_path / "faults").mkdir()

    measure_rate(report, count=40, at_once=20, rounds=1, sdk=False)
    measure_memory(report, tmp_path / "memory", count=300)
    measure_faults(report, tmp_path / "faults", count=150, kills=2)

    assert report.figures["requests_a_second"] > 0
    assert report.met["lost_documents"]
    assert report.met["doubled_documents"]
    assert report.met["peak_memory_mb"]
    assert any("was not measured" in note for note in report.notes)
