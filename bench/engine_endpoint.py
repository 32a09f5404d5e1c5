"""The Step Functions endpoint of the local AWS, beside moto_server's in the same run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from bench.report import median_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.report import Report

REGION = "ap-northeast-1"
ROLE = "arn:aws:iam::000000000000:role/bench"
STARTS = 3
PAIRS = 40
WAITING = 100
CONNECTIONS = 8
CALLS = {"TableName": "bench", "Key": {"k": {"S": "a"}}}
UPDATE = {
    **CALLS,
    "UpdateExpression": "ADD n :one",
    "ExpressionAttributeValues": {":one": {"N": "1"}},
    "ReturnValues": "ALL_NEW",
}


def five_states(*, jsonata: bool) -> str:
    """The same five states in either dialect: moto runs JSONPath only, ours JSONata only."""
    arguments = "Arguments" if jsonata else "Parameters"
    condition: dict[str, Any] = (
        {"Condition": "{% $states.input.Attributes.n.N = '0' %}"}
        if jsonata
        else {"Variable": "$.Attributes.n.N", "StringEquals": "0"}
    )
    states = {
        "Begin": {"Type": "Pass", "Next": "First"},
        "First": {
            "Type": "Task",
            "Resource": "arn:aws:states:::dynamodb:updateItem",
            arguments: UPDATE,
            "Next": "Look",
        },
        "Look": {"Type": "Choice", "Choices": [{**condition, "Next": "End"}], "Default": "Second"},
        "Second": {
            "Type": "Task",
            "Resource": "arn:aws:states:::dynamodb:getItem",
            arguments: CALLS,
            "Next": "End",
        },
        "End": {"Type": "Succeed"},
    }
    language = {"QueryLanguage": "JSONata"} if jsonata else {}
    return json.dumps({**language, "StartAt": "Begin", "States": states})


def client(service: Any, url: str) -> Any:
    """A boto3 client that retries nothing."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=CONNECTIONS),
    )


@contextmanager
def local_aws() -> Iterator[tuple[str, float]]:
    """A local AWS on a fresh state directory: its URL, and how many seconds it took to be ready."""
    state = Path(tempfile.mkdtemp(prefix="nightlatch-bench-"))
    port = free_port()
    began = time.perf_counter()
    words = ["-m", "nightlatch.local", "--port", str(port), "--state", str(state)]
    process = subprocess.Popen([sys.executable, *words], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not answers(f"{url}/_nightlatch/health", ready=True):
            time.sleep(0.005)
        yield url, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(state)


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's own server, executing state machines."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_ACCOUNT_ID": "000000000000"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not answers(f"{url}/moto-api/config"):
            time.sleep(0.05)
        config = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
        request = urllib.request.Request(f"{url}/moto-api/config", config)  # noqa: S310 - our own server
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - the same
        yield url
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str, *, ready: bool = False) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - our own server
            return not ready or bool(json.load(reply)["ready"])
    except (urllib.error.URLError, OSError):
        return False


class Engine:
    """One Step Functions endpoint with the five-state machine and its table."""

    def __init__(self, url: str, *, jsonata: bool) -> None:
        self.states = client("stepfunctions", url)
        client("dynamodb", url).create_table(
            TableName="bench",
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        made = self.states.create_state_machine(
            name="five", definition=five_states(jsonata=jsonata), roleArn=ROLE
        )
        self._machine = made["stateMachineArn"]

    def seconds(self, name: str) -> float:
        """From asking for the start until the end is seen; asked every 2 ms."""
        began = time.perf_counter()
        arn = self.states.start_execution(stateMachineArn=self._machine, name=name)["executionArn"]
        while (told := self.states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.002)
        taken = time.perf_counter() - began
        assert told["status"] == "SUCCEEDED", told
        return taken


def waits_at_once(url: str) -> float:
    """Seconds from the first of 100 StartExecution calls until no execution runs; each waits 2 s."""
    states = client("stepfunctions", url)
    text = {
        "QueryLanguage": "JSONata",
        "StartAt": "Wait",
        "States": {"Wait": {"Type": "Wait", "Seconds": 2, "End": True}},
    }
    machine = states.create_state_machine(name="wait", definition=json.dumps(text), roleArn=ROLE)[
        "stateMachineArn"
    ]
    states.list_executions(stateMachineArn=machine)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda _: states.describe_state_machine(stateMachineArn=machine), range(CONNECTIONS)))
        began = time.perf_counter()
        list(pool.map(lambda _: states.start_execution(stateMachineArn=machine), range(WAITING)))
    while states.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)["executions"]:
        time.sleep(0.01)
    taken = time.perf_counter() - began
    done = states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED", maxResults=1000)[
        "executions"
    ]
    assert len(done) == WAITING
    return taken


def add_endpoint_figures(report: Report) -> None:
    """Measure the endpoint and add its figures."""
    ready = []
    for _ in range(STARTS - 1):
        with local_aws() as (_, seconds):
            ready.append(seconds)
    with local_aws() as (url, seconds), moto_server() as peer:
        ready.append(seconds)
        report.add("endpoint_ready_seconds", statistics.median(ready), ("<=", 2.0))
        mine, other = Engine(url, jsonata=True), Engine(peer, jsonata=False)
        for engine in (mine, other):
            engine.seconds("warm-up")
        pairs = [(mine.seconds(f"n{number}"), other.seconds(f"n{number}")) for number in range(PAIRS)]
        ours, theirs = zip(*pairs, strict=True)
        report.add("five_states_endpoint_milliseconds", statistics.median(ours) * 1000)
        report.add("five_states_moto_server_milliseconds", statistics.median(theirs) * 1000)
        report.add("five_states_ratio_to_moto_server", median_ratio(ours, theirs), ("<=", 0.5))
        report.add("waits_100_endpoint_seconds", waits_at_once(url), ("<=", 2.3))
    report.note("Ready: from starting the process until its health page says so, an empty state directory.")
    report.note("Five states with two DynamoDB calls, over HTTP, each pair run one after the other.")
    report.note("100 executions with a 2 s Wait over HTTP, from the first StartExecution until none runs.")
