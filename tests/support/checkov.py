"""checkov, in an environment of its own that the first test which needs it makes; a second run reuses it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv

import pytest

from tests.support.terraform import REQUIRED, ROOT

_REQUIREMENTS = ROOT / "tests" / "terraform" / "checkov-requirements.txt"
_FOLDER = ROOT / ".cache" / "checkov"


def checkov() -> str:
    """The program; `CHECKOV` names another one. A test that cannot install it is skipped and says so."""
    if given := os.environ.get("CHECKOV"):
        return given
    _FOLDER.parent.mkdir(exist_ok=True)
    with (_FOLDER.parent / "checkov.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, stamp = _REQUIREMENTS.read_text(encoding="utf-8"), _FOLDER / "installed"
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            _install()
            stamp.write_text(wanted, encoding="utf-8")
    return str(_FOLDER / "bin" / "checkov")


def _install() -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)
    python = _FOLDER / "bin" / "python"
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(_FOLDER)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    else:
        venv.create(_FOLDER, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*install, "--require-hashes", "-r", str(_REQUIREMENTS)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["the installer said nothing"])[-1]
        sentence = f"checkov could not be installed into {_FOLDER.relative_to(ROOT)}: {why}"
        if REQUIRED:
            pytest.fail(f"REQUIRE_TERRAFORM=1, but {sentence}")
        pytest.skip(sentence)
