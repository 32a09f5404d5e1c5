"""Run every bench and write `docs/benchmarks.md`: `make bench`."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_A_BENCH = {"__init__", "__main__", "report"}


def benches() -> list[str]:
    """The bench modules: every module of this folder that can be run on its own."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_A_BENCH)
    return [name for name in names if '__name__ == "__main__"' in (ROOT / "bench" / f"{name}.py").read_text()]


def run(name: str) -> tuple[str, dict[str, object] | None]:
    """Run one bench; returns what it printed without its last line, and that line parsed."""
    print(f"== bench.{name}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, flush=True)
    *table, last = done.stdout.rstrip().splitlines() or [""]
    try:
        result = json.loads(last)
    except ValueError:
        return f"The bench ended with exit code {done.returncode} and no result.", None
    return "\n".join(table), result


def machine() -> str:
    """One line about where the figures were taken."""
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, moto {importlib.metadata.version('moto')}, "
        f"boto3 {importlib.metadata.version('boto3')}"
    )


def main(names: list[str]) -> int:
    """Run the named benches, or all; write the page only when all were run."""
    parts = [
        "# Benchmarks",
        "",
        f"Taken on {dt.datetime.now(dt.UTC):%Y-%m-%d} on {machine()}.",
        "Repeat all with `make bench`, one with `.venv/bin/python -m bench.NAME`. Ratios are taken against",
        "the peer in the same run; absolute times depend on the machine.",
        "",
    ]
    failed = 0
    for name in names or benches():
        table, result = run(name)
        failed += result is None
        parts += [f"## {name}", "", "```", table, "```", ""]
    if not names:
        (ROOT / "docs" / "benchmarks.md").write_text("\n".join(parts))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
