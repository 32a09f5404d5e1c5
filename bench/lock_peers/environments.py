"""An environment for every peer, made on first use: their dependencies and module names clash."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "bench" / "lock-peers"

VERSIONS = {
    "python-dynamodb-lock": "0.9.1",
    "dynamodblock": "1.0.6",
    "dynalock": "0.3.0",
    "dynamo-dlm": "2.1.0",
    "lynk": "0.3.1",
    "dynamo-lock": "0.1.1",
}
"""The peers as last published."""

_AT_ONCE = 2


def python_of(name: str) -> Path | str:
    """The interpreter that has this peer, or why there is none."""
    folder = CACHE / name
    # The same SDK as ours, so that only the locks differ.
    wanted = [f"{name}=={VERSIONS[name]}", f"boto3=={importlib.metadata.version('boto3')}"]
    stamp, python = folder / "installed", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text().split() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, folder],
            [uv, "pip", "install", "--quiet", "--python", python, *wanted],
        ]
    else:
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        steps = [[*pip, *wanted]]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return (done.stderr.strip().splitlines() or ["the installer said nothing"])[-1]
    stamp.write_text("\n".join(wanted))
    return python


def all_pythons() -> dict[str, Path | str]:
    """Every peer's interpreter, or why there is none."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(VERSIONS, pool.map(python_of, VERSIONS), strict=True))
