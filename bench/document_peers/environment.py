"""An environment for the openai SDK, made on first use: a bench's peer is no dependency."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "bench" / "document-peers"
WANTED = "openai==3.51.0"


def python_with_sdk() -> Path | str:
    """The interpreter that has the SDK, or why there is none."""
    stamp, python = FOLDER / "installed", FOLDER / "bin" / "python"
    if stamp.exists() and stamp.read_text() == WANTED:
        return python
    shutil.rmtree(FOLDER, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, FOLDER], check=True)
        step = [uv, "pip", "install", "--quiet", "--python", str(python), WANTED]
    else:
        venv.create(FOLDER, with_pip=True)
        step = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", WANTED]
    done = subprocess.run(step, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["the installer said nothing"])[-1]
    stamp.write_text(WANTED)
    return python
