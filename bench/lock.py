"""The lock beside its peers: what each operation costs, how soon a dead holder is replaced, what is forgiven.

All talk over HTTP to one local AWS, each from processes and an environment of its own; acquire and release
are timed on dynalite, too.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import boto3

from bench.engine_endpoint import REGION, ROLE, local_aws
from bench.lock_peers.dynalite import VERSION as DYNALITE_VERSION
from bench.lock_peers.dynalite import dynalite
from bench.lock_peers.environments import VERSIONS, all_pythons
from bench.report import Report
from lock import Acquired, Holder, Kind, Lock, LockTable
from lock.table import table_definition

ROOT = Path(__file__).resolve().parent.parent
READS = frozenset({"GetItem", "Query", "BatchGetItem", "Scan", "DescribeTable"})
UNIT_BYTES = 1024
"""One write unit. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/provisioned-capacity-mode.html"""
OUR_PAIRS, PEER_PAIRS = 100, 25
OUR_DYNALITE_PAIRS, PEER_DYNALITE_PAIRS = 200, 40
PAIR_GOAL = ("<=", 1.25)
WIRE_MILLISECONDS = 5
ORACLE_RUNS = 3
TIMEOUT_SECONDS = 120


class Subject:
    """One lock, measured through its driver.

    Args:
        name: as its adapter is called.
        python: the interpreter that has it.
        endpoint: URL of the AWS.
    """

    def __init__(self, name: str, python: Path, endpoint: str) -> None:
        self.name = name
        self.table = f"bench-{name}-{uuid.uuid4().hex[:6]}"
        self._command = [python, "-m", "bench.lock_peers.driver", name, self.table]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON"))}
        self._environment = clean | {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.measure("prepare")

    def measure(self, what: str, *arguments: object) -> dict[str, Any]:
        """One measurement; `error` in the result is how the peer failed at it."""
        try:
            done = subprocess.run(
                [*self._command, what, *map(str, arguments)],
                cwd=ROOT,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"no end after {TIMEOUT_SECONDS} s"}
        if done.returncode != 0:
            return {"error": (done.stderr.strip().splitlines() or ["?"])[-1]}
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def start(self, what: str, key: str) -> subprocess.Popen[str]:
        """A process that goes on; its stdin stays open."""
        return subprocess.Popen(
            [*self._command, what, key],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def seconds_from_death(self) -> float | str:
        """A holder with a lease of 2 s is killed while another process waits: until that one has the lock."""
        key = f"lock-{uuid.uuid4().hex[:8]}"
        # The waiter starts first, behind a gate of its own: starting Python takes as long as a lease.
        with self.start("wait", key) as waiter, self.start("hold", key) as holder:
            try:
                if not self._line(holder, "held"):
                    return "the holder did not get the lock"
                assert waiter.stdin is not None
                waiter.stdin.write("now\n")
                waiter.stdin.flush()
                waiting = self._line(waiter, "waiting")
                holder.send_signal(signal.SIGKILL)
                holder.wait()
                died = time.monotonic()
                granted = self._line(waiter, "granted") if waiting else None
                if granted is None:
                    assert waiter.stderr is not None
                    return (waiter.stderr.read().strip().splitlines() or ["?"])[-1]
                return max(0.0, granted - died)
            finally:
                for process in (waiter, holder):
                    process.kill()

    def _line(self, process: subprocess.Popen[str], name: str) -> float | None:
        """The next line's member; None when the process has ended without it or takes too long."""
        watchdog = threading.Timer(TIMEOUT_SECONDS, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            text = process.stdout.readline()
            return float(json.loads(text)[name]) if text else None
        finally:
            watchdog.cancel()


def cost(sent: list[str], held_bytes: int) -> tuple[int, int, int]:
    """Requests, reads among them, and write units; a refused conditional write costs what it would have."""
    reads = sum(operation in READS for operation in sent)
    return len(sent), reads, (len(sent) - reads) * math.ceil(held_bytes / UNIT_BYTES)


def operations(report: Report, subject: Subject, goals: dict[str, int] | None) -> None:
    """Requests and units of every operation; for ours with goals."""
    counted = subject.measure("requests")
    if "error" in counted:
        report.note(f"{subject.name}: its requests could not be counted: {counted['error']}")
        return
    taken = subject.measure("take_over")
    if "error" in taken:
        report.note(f"{subject.name}: does not take over a dead holder's lock: {taken['error']}")
    all_reads = 0
    for operation in ("acquire", "contended_try", "renew", "release", "take_over"):
        sent = taken.get("requests") if operation == "take_over" else counted[operation]
        if sent is None:
            continue
        requests, reads, units = cost(sent, counted["held_bytes"])
        all_reads += reads if operation != "take_over" else 0
        goal = None if goals is None else ("==", float(goals[operation]))
        report.add(f"{subject.name}_{operation}_requests", requests, goal)
        if goals is not None:
            report.add(f"{subject.name}_{operation}_write_units", units, goal)
    report.add(f"{subject.name}_reads_of_first_four", all_reads, None if goals is None else ("==", 0.0))
    report.add(f"{subject.name}_held_item_bytes", counted["held_bytes"])


def speed(
    report: Report, subject: Subject, pairs: int, where: str, *, goal: tuple[str, float] | None = None
) -> None:
    """Acquire and release against two raw conditional UpdateItems, by turns."""
    took = subject.measure("pairs", pairs)
    if "error" in took:
        report.note(f"{subject.name}: its pairs on {where} could not be timed: {took['error']}")
        return
    report.add(f"{subject.name}_pair_p50_milliseconds_{where}", took["p50"])
    report.add(f"{subject.name}_raw_pair_p50_milliseconds_{where}", took["raw_p50"])
    report.add(f"{subject.name}_pair_ratio_to_raw_{where}", took["ratio_to_raw"], goal)
    report.add(f"{subject.name}_pair_ratio_to_same_requests_{where}", took["ratio_to_same"])
    report.add(f"{subject.name}_same_requests_ratio_to_raw_{where}", took["same_ratio_to_raw"])


def speed_on_dynalite(report: Report, pythons: dict[str, Path | str]) -> None:
    """The pairs again, where less of the time is the emulator's; ours with the goal."""
    with dynalite() as (url, said):
        if url is None:
            report.note(
                f"Nothing was timed on dynalite {DYNALITE_VERSION}, so the goal of {PAIR_GOAL[1]} was not "
                f"judged: {said}"
            )
            return
        ours = Subject("nightlatch", Path(sys.executable), url)
        speed(report, ours, OUR_DYNALITE_PAIRS, "dynalite", goal=PAIR_GOAL)
        wire = ours.measure("pairs", PEER_DYNALITE_PAIRS, WIRE_MILLISECONDS)
        if "error" not in wire:
            report.add("nightlatch_pair_ratio_to_raw_dynalite_behind_5_ms", wire["ratio_to_raw"])
        for name, python in pythons.items():
            if isinstance(python, Path):
                speed(report, Subject(name, python, url), PEER_DYNALITE_PAIRS, "dynalite")


def lost_replies(report: Report, subject: Subject, *, ours: bool) -> None:
    """How many operations whose reply was lost end well, and what the others say."""
    answers = subject.measure("lost_replies")
    if "error" in answers:
        report.note(f"{subject.name}: lost replies could not be tried: {answers['error']}")
        return
    well = sum(answer is None for answer in answers.values())
    goal = ("==", float(len(answers))) if ours else None
    report.add(f"{subject.name}_lost_replies_recognised", well, goal)
    table = "; ".join(f"{operation}: {answer or 'recognised'}" for operation, answer in answers.items())
    report.note(f"lost reply, {subject.name} ({well} of {len(answers)}): {table}")


def death(report: Report, subject: Subject) -> None:
    """From a holder's death to the next grant, by the lease."""
    seconds = subject.seconds_from_death()
    if isinstance(seconds, str):
        report.note(f"{subject.name}: a waiter never gets a dead holder's lock: {seconds}")
    else:
        report.add(f"{subject.name}_dead_holder_lease_2s_to_grant_seconds", seconds)


def seconds_by_oracle(url: str) -> float:
    """An execution holds the lock and is stopped; a waiter asks Step Functions whether the owner lives."""
    credentials = {
        "endpoint_url": url,
        "region_name": REGION,
        "aws_access_key_id": "bench",
        "aws_secret_access_key": "bench",
    }
    states: Any = boto3.client("stepfunctions", **credentials)
    dynamodb: Any = boto3.client("dynamodb", **credentials)
    name = f"bench-oracle-{uuid.uuid4().hex[:6]}"
    dynamodb.create_table(**table_definition(name))
    wait = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    definition = json.dumps({"QueryLanguage": "JSONata", **wait})
    machine = states.create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]
    table = LockTable.connect(name, client=dynamodb)
    table.acquire("k", table.new_holder(owner=execution, job="bench", lease_ms=3_600_000, kind=Kind.SFN))
    asked = threading.Event()

    def alive(holder: Holder) -> bool:
        status = states.describe_execution(executionArn=holder.owner)["status"]
        asked.set()
        return status in {"RUNNING", "PENDING_REDRIVE"}

    granted: list[float] = []

    def waiter() -> None:
        lock = Lock("k", table=table, wait_seconds=60, poll_seconds=0.1, alive=alive)
        if isinstance(lock.acquire(), Acquired):
            granted.append(time.monotonic())

    thread = threading.Thread(target=waiter)
    thread.start()
    asked.wait()
    states.stop_execution(executionArn=execution)
    died = time.monotonic()
    thread.join()
    return max(0.0, granted[0] - died)


def main() -> None:
    """Measure ours, then every peer."""
    report = Report("lock")
    pythons = all_pythons()
    with local_aws() as (url, _):
        ours = Subject("nightlatch", Path(sys.executable), url)
        goals = {"acquire": 1, "contended_try": 1, "renew": 1, "release": 1, "take_over": 2}
        operations(report, ours, goals)
        speed(report, ours, OUR_PAIRS, "local_aws")
        lost_replies(report, ours, ours=True)
        oracle = [seconds_by_oracle(url) for _ in range(ORACLE_RUNS)]
        report.add("nightlatch_stopped_execution_to_grant_seconds", sorted(oracle)[ORACLE_RUNS // 2])
        death(report, ours)
        death(report, Subject("nightlatch-default-skew", Path(sys.executable), url))
        for name in VERSIONS:
            python = pythons[name]
            if isinstance(python, str):
                report.note(
                    f"{name} {VERSIONS[name]} could not be installed, so nothing is said of it: {python}"
                )
                continue
            peer = Subject(name, python, url)
            operations(report, peer, None)
            speed(report, peer, PEER_PAIRS, "local_aws")
            lost_replies(report, peer, ours=False)
            death(report, peer)
    speed_on_dynalite(report, pythons)
    report.note("Write units: requests that write, times the held item's size in units of 1 KB.")
    report.note(
        "Pairs: acquire and release, by turns with two raw conditional UpdateItems on the same table, and "
        "with the very requests of the lock from a plain client (same requests). Ratios are medians over the "
        "turns: pair to same requests is the lock's own code (less two habits of the SDK that our client "
        "leaves out and the plain ones do not: to check each request's types, and to put its user agent "
        "together anew), same requests to raw is SDK and emulator."
    )
    report.note(
        "The goal is judged on dynalite: the local AWS's moto parses every expression in Python, which takes "
        "longer than all the rest, so there the figure measures moto's parser. dynalite parses, too, faster. "
        f"Behind {WIRE_MILLISECONDS} ms: the same with so much added to every request, as a network would."
    )
    report.note(
        "Dead holder: its process is killed; its lease is 2 s; ours adds 1 s for clocks that disagree "
        "(default-skew: 5 s). Stopped execution: asked by DescribeExecution every 0.1 s."
    )
    report.finish()


if __name__ == "__main__":
    main()
