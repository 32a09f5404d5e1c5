"""documents-work: its dispatcher beside a bare loop and the openai SDK, its memory, what faults leave."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.document_peers.environment import WANTED, python_with_sdk
from bench.memory import peak_bytes
from bench.report import Report, median_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / "document_peers"
# What a small model answers in; the spread is that of a busy service.
LATENCY = {"latency": 0.4, "spread": 0.2}
_MEGA = 1_000_000
_LOOK_SECONDS = 0.01


@contextlib.contextmanager
def endpoint(**character: Any) -> Iterator[str]:
    """An OpenAI-compatible endpoint in a process of its own; its address."""
    command = [sys.executable, "-m", "tests.support.chat_endpoint", json.dumps(character)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def loop(python: Path | str, program: str, url: str, count: int, at_once: int) -> float:
    """Requests a second of one of the loops, in a process of its own."""
    command = [str(python), str(PEERS / program), url, str(count), str(at_once)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure_rate(report: Report, *, count: int, at_once: int, rounds: int, sdk: bool = True) -> None:
    """Ours, the bare loop and the SDK in turn, against one endpoint."""
    peer = python_with_sdk() if sdk else "not asked for"
    ours: list[float] = []
    bare: list[float] = []
    theirs: list[float] = []
    with endpoint(**LATENCY) as url:
        for _ in range(rounds):
            bare.append(loop(sys.executable, "bare_loop.py", url, count, at_once))
            ours.append(loop(sys.executable, "our_loop.py", url, count, at_once))
            if isinstance(peer, Path):
                theirs.append(loop(peer, "sdk_loop.py", url, count, at_once))
    report.add("requests_a_second", statistics.median(ours))
    report.add("bare_aiohttp_requests_a_second", statistics.median(bare))
    report.add("share_of_bare_aiohttp", median_ratio(ours, bare), (">=", 0.9))
    if theirs:
        report.add("openai_sdk_requests_a_second", statistics.median(theirs))
        report.add("share_of_bare_aiohttp_openai_sdk", median_ratio(theirs, bare))
    else:
        report.note(f"{WANTED} was not measured: {peer}")
    report.note(
        f"{at_once} requests in flight, {count} a round, {rounds} rounds in turn, latency 0.4 to 0.6 s"
    )


def programs(folder: Path, url: str) -> dict[str, str]:
    """The environment of plan and work."""
    return {
        **os.environ,
        "LLM_ENGINE": "openai",
        "LLM_MODEL": "m",
        "LLM_BASE_URL": url,
        "NIGHTLATCH_OUTPUT_DIR": str(folder / "output"),
        "NIGHTLATCH_CHECKPOINT_DIR": str(folder / "checkpoint"),
        "PYTHONUNBUFFERED": "1",
    }


def plan(folder: Path, environment: dict[str, str], *options: str) -> tuple[str, float]:
    """The only shard of a plan, and its peak memory in MB."""
    command = [
        "documents_plan",
        "--labels",
        "red,green,blue",
        "--documents",
        str(folder / "in.jsonl"),
        *options,
    ]
    told = {**environment, "NIGHTLATCH_OUTPUT_DIR": str(folder / "plan")}
    code, peak = ended(start(told, *command))
    assert code == 0, code
    (shard,) = json.loads((folder / "plan" / "shards.json").read_text())
    return json.dumps(shard), peak


def start(environment: dict[str, str], program: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"tasks.jobs.documents.{program}", *options]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit code and peak memory in MB: the kernel's high-water mark, as last seen before the end."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_bytes(process.pid))
        time.sleep(_LOOK_SECONDS)
    return process.returncode, peak / _MEGA


def measure_memory(report: Report, scratch: Path, *, count: int) -> None:
    """So many documents of a kilobyte as one shard."""
    chance = random.Random(1)
    words = [f"word{n}" for n in range(2000)]
    with (scratch / "in.jsonl").open("w") as file:
        for number in range(count):
            text = f"{number} " + " ".join(chance.choices(words, k=130))
            file.write(json.dumps({"id": f"d{number}", "text": text}) + "\n")
    with endpoint(latency=0.05) as url:
        environment = programs(scratch, url)
        options = ["--shard-documents", str(count), "--batch", "16", "--concurrency", "100", "--first", "50"]
        shard, planning = plan(scratch, environment, *options)
        began = time.perf_counter()
        code, peak = ended(start({**environment, "NIGHTLATCH_SHARD": shard}, "documents_work"))
        gone = time.perf_counter() - began
    assert code == 0, code
    told = json.loads((scratch / "output" / "shard.json").read_text())
    assert told["answered"] == count, told
    report.add("documents_in_one_shard", count)
    report.add("peak_memory_mb", peak, ("<=", 200))
    report.add("plan_peak_memory_mb", planning, ("<=", 200))
    report.note(f"{count} documents of 1 kB, 16 in a request: {gone:.0f} s from start to results")


def measure_faults(report: Report, scratch: Path, *, count: int, kills: int) -> None:
    """Delivered twice, throttled, answered badly, dropped, killed: what is lost, what is doubled?"""
    chance = random.Random(7)
    documents = [{"id": f"d{n}", "text": f"document {n}"} for n in range(count)]
    delivered = documents + chance.sample(documents, count // 3)
    chance.shuffle(delivered)
    (scratch / "in.jsonl").write_text("".join(json.dumps(one) + "\n" for one in delivered))
    character = {
        "latency": 0.03,
        "spread": 0.05,
        "tokens_a_minute": 900_000.0,
        "bad_json": 0.1,
        "failing": 0.03,
        "dropping": 0.03,
        "twice": 0.2,
    }
    with endpoint(**character) as url:
        environment = programs(scratch, url)
        options = ["--shard-documents", str(count), "--batch", "4", "--concurrency", "16", "--tries", "20"]
        shard, _ = plan(scratch, environment, *options)
        working = {**environment, "NIGHTLATCH_SHARD": shard}
        killed = 0
        for _ in range(kills):
            process = start(working, "documents_work")
            time.sleep(chance.uniform(0.7, 2.0))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        code, _ = ended(start(working, "documents_work"))
    assert code == 0, code
    lines = [
        json.loads(line)
        for name in ("results.jsonl", "dead_letters.jsonl")
        for line in (scratch / "output" / name).read_text().splitlines()
    ]
    found = Counter(one["id"] for one in lines)
    told = json.loads((scratch / "output" / "shard.json").read_text())
    report.add("lost_documents", sum(one["id"] not in found for one in documents), ("==", 0))
    report.add("doubled_documents", sum(times > 1 for times in found.values()), ("==", 0))
    report.add("dead_letters_share", told["dead"] / count)
    report.note(
        f"{count} documents, a third delivered twice, {killed} kills; throttled by tokens, 10 % bad JSON, "
        "3 % failures, 3 % dropped connections"
    )


def main() -> None:
    report = Report("documents")
    measure_rate(report, count=3000, at_once=500, rounds=3)
    with tempfile.TemporaryDirectory() as name:
        measure_memory(report, Path(name), count=100_000)
    with tempfile.TemporaryDirectory() as name:
        measure_faults(report, Path(name), count=2000, kills=5)
    report.finish()


if __name__ == "__main__":
    main()
