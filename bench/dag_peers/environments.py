"""An environment for every peer, made on first use."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "bench" / "dag-peers"

VERSIONS = {"luigi": "3.8.1", "redun": "0.44.1"}
"""The peers as last published."""


def python_of(name: str) -> Path | str:
    """The interpreter that has this peer, or why there is none."""
    folder, wanted = CACHE / name, f"{name}=={VERSIONS[name]}"
    stamp, python = folder / "installed", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, folder],
            [uv, "pip", "install", "--quiet", "--python", python, wanted],
        ]
    else:
        venv.create(folder, with_pip=True)
        steps = [[python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted]]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return (done.stderr.strip().splitlines() or ["the installer said nothing"])[-1]
    stamp.write_text(wanted)
    return python
