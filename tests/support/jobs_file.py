"""Small jobs files for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
environments: [local, dev, stg, prod]
defaults:
  image: nightlatch
  schedule: { timezone: Asia/Tokyo, max_lateness_minutes: 60 }
  lock: { on_conflict: skip, max_wait_minutes: 60, max_waiters: 1 }
  step:
    cpu: 256
    memory: 512
    stop_grace_seconds: 30
    environment: { LANG: C.UTF-8 }
    retry: { launch: 5, infrastructure: 1, spot: 1, start: 1, out_of_memory: 0, timeout: 0, exit: 0 }
    retry_wait: { first_seconds: 15, rate: 2, max_seconds: 300 }
jobs:
"""

ONE_JOB = """\
  report:
    description: Write the report
    lock: { key: reports }
    steps:
      - { name: write, command: [report, --all], timeout_minutes: 10 }
"""


def write_jobs(folder: Path, jobs: str = ONE_JOB, head: str = HEAD) -> Path:
    """A jobs file with complete defaults and these jobs (text indented by two spaces)."""
    path = folder / "jobs.yaml"
    path.write_text(head + jobs, encoding="utf-8")
    return path
