"""dynalite, a DynamoDB on LevelDB for Node.js: installed on first use, run on a fresh directory."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.engine_endpoint import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "bench" / "dynalite"
VERSION = "4.0.0"
INSTALL_SECONDS = 120


def installed() -> Path | str:
    """Its program, or why there is none."""
    package: Path = CACHE / "node_modules" / "dynalite"
    described: Path = package / "package.json"
    program: Path = package / "cli.js"
    if shutil.which("node") is None:
        return "there is no node"
    if described.exists() and json.loads(described.read_text())["version"] == VERSION:
        return program
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm"
    CACHE.mkdir(parents=True, exist_ok=True)
    words = ["install", "--prefix", str(CACHE), "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            [npm, *words, f"dynalite@{VERSION}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"npm was not done after {INSTALL_SECONDS} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["npm said nothing"])[0]
    return program


@contextmanager
def dynalite() -> Iterator[tuple[str | None, str]]:
    """Run it: its URL, or None and why not."""
    program = installed()
    if isinstance(program, str):
        yield None, program
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-dynalite-") as folder:
        process = subprocess.Popen(
            ["node", program, *f"--host 127.0.0.1 --port {port} --createTableMs 0 --path".split(), folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            # Its first line says that it listens; what else comes first is why it does not.
            said = process.stdout.readline().strip()
            url = f"http://127.0.0.1:{port}" if "listening" in said else None
            yield url, said or "it ended without a word"
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
