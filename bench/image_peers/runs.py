"""One measurement of each peer over the same pictures."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING, Final

from bench.image_peers.programs import AbsentError, Peers, present

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CONNECTIONS: Final = 64
_SECONDS: Final = 300
_RANGED: Final = "wrk.headers['Range'] = 'bytes=0-1023'\n"
_LOOP: Final = """
import sys, time, requests
urls = sys.stdin.read().split()
session = requests.Session()
began = time.perf_counter()
for url in urls:
    assert session.get(url, timeout=(5, 20)).status_code == 200
print(len(urls) / (time.perf_counter() - began))
"""


def wrk(peers: Peers, url: str, seconds: int, scratch: Path) -> float:
    """Ranged GETs of the first kilobyte of one picture, again and again: requests a second.

    Raises:
        AbsentError: if wrk is not to be had or fails.
    """
    script = scratch / "ranged.lua"
    script.write_text(_RANGED)
    command = [present(peers.wrk), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, url]
    said = _output([str(word) for word in command], peers)
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    if found is None or "Non-2xx" in said:
        raise AbsentError(f"wrk failed: {said.strip()[-200:]}")
    return float(found[1])


def lychee(peers: Peers, urls: Iterable[str], scratch: Path) -> float:
    """HEAD requests without any pause, as many at once as ours: URLs a second.

    Raises:
        AbsentError: if lychee is not to be had or fails.
    """
    listed = list(urls)
    page = scratch / "urls.txt"
    page.write_text("\n".join(listed) + "\n")
    options = ["--method=head", "--host-request-interval=0s", f"--host-concurrency={CONNECTIONS}"]
    options += [f"--max-concurrency={CONNECTIONS}", "--no-progress", "--format=json", "--mode=plain"]
    began = time.perf_counter()
    said = _output([str(present(peers.lychee)), *options, str(page)], peers)
    took = time.perf_counter() - began
    found = re.search(r'"successful":\s*(\d+)', said)
    if found is None or int(found[1]) != len(listed):
        raise AbsentError(f"lychee did not find all {len(listed)} pictures well: {said.strip()[:200]}")
    return len(listed) / took


def sequential(peers: Peers, urls: Iterable[str]) -> float:
    """One GET after the other with `requests`, connections kept: URLs a second.

    Raises:
        AbsentError: if it is not to be had or fails.
    """
    command = [str(present(peers.python)), "-c", _LOOP]
    return float(_output(command, peers, stdin="\n".join(urls)))


def _output(command: list[str], peers: Peers, stdin: str = "") -> str:
    try:
        done = subprocess.run(
            command,
            env=peers.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise AbsentError(f"{command[0]} had not ended after {_SECONDS} s") from None
    if done.returncode != 0:
        raise AbsentError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout
