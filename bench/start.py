"""How long the command line takes to say its version, beside the AWS command line in the same run."""

from __future__ import annotations

import subprocess
import sys
import time
import venv
from pathlib import Path

from bench.report import Report, median_ratio

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / ".cache" / "bench" / "awscli"
OURS = Path(sys.executable).with_name("nightlatch")
ROUNDS = 7


def peer() -> Path:
    """The AWS command line as pip installs it, in an environment of its own."""
    command = PEER / "bin" / "aws"
    if not command.exists():
        venv.create(PEER, with_pip=True, clear=True)
        pip = [PEER / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "awscli"], check=True)
    return command


def seconds(command: Path) -> float:
    """Wall time of one `--version`."""
    begun = time.perf_counter()
    subprocess.run([command, "--version"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    """Both in turn, after one unmeasured run of each."""
    aws = peer()
    seconds(OURS)
    seconds(aws)
    pairs = [(seconds(OURS), seconds(aws)) for _ in range(ROUNDS)]
    ours, theirs = zip(*pairs, strict=True)
    report = Report("start")
    report.add("nightlatch_version_seconds", sorted(ours)[ROUNDS // 2])
    report.add("aws_version_seconds", sorted(theirs)[ROUNDS // 2])
    report.add("ratio", median_ratio(ours, theirs), ("<=", 0.5))
    version = subprocess.run([aws, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    report.note(f"peer: {version}")
    report.finish()


if __name__ == "__main__":
    main()
