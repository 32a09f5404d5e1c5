"""Runs parliament over policies: JSON {address: statements} in, JSON findings out.

A process of its own, because parliament's imports warn, and a warning is an error in the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def findings(policies: dict[str, list[dict[str, Any]]]) -> list[tuple[str, str, str]]:
    """What parliament says: address, issue, detail."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.policy_linting"],
        input=json.dumps(policies),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(address, issue, detail) for address, issue, detail in json.loads(done.stdout)]


def _main() -> None:
    from parliament import analyze_policy_string  # noqa: PLC0415 - only in the process of its own

    found: list[tuple[str, str, str]] = []
    for address, statements in json.load(sys.stdin).items():
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        linted = analyze_policy_string(policy)
        found += [(address, it.issue, json.dumps(it.detail)) for it in linted.findings]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _main()
