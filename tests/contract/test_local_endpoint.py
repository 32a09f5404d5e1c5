"""The one port: start, refusal to start, health, a full disk, and what clients send over HTTP."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from nightlatch import local
from tests.support.local_aws import LocalAws, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _up(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", local.__name__, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_health_page_tells_who_answers(local_aws: LocalAws) -> None:
    health = local_aws.health()
    assert health["ready"] is True
    assert health["pid"] == local_aws.pid
    assert health["url"] == local_aws.url
    assert health["uptime_seconds"] > 0
    assert health["version"]


def test_a_second_server_on_one_state_directory_is_told_where_the_first_is(local_aws: LocalAws) -> None:
    refused = _up("--port", "0", "--state", str(local_aws.state))
    assert refused.returncode == 1
    assert local_aws.url in refused.stderr
    assert str(local_aws.pid) in refused.stderr
    assert "nightlatch local down" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert local_aws.health()["ready"] is True


def test_a_busy_port_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = _up("--port", port, "--state", str(tmp_path / "state"))
    assert refused.returncode == 1
    assert f"Port {port} cannot be used" in refused.stderr
    assert "--port 0" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_bad_image_option_is_refused(tmp_path: Path) -> None:
    refused = _up("--state", str(tmp_path), "--image", "nonsense")
    assert refused.returncode == 2
    assert "NAME=DIR" in refused.stderr


def _send(aws: LocalAws, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(aws.url.removeprefix("http://"), timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    reply = connection.getresponse()
    answer = (reply.status, reply.read())
    connection.close()
    return answer


def test_unknown_pages_and_operations_and_bad_json_are_refused_in_the_callers_dialect(
    local_aws: LocalAws,
) -> None:
    status, body = _send(local_aws, "GET", "/_nightlatch/nothing")
    assert (status, b"has no page" in body) == (404, True)
    status, body = _send(local_aws, "POST", "/", b"{}", X_Amz_Target="AWSStepFunctions.Nothing")
    assert (status, json.loads(body)["__type"]) == (400, "UnknownOperationException")
    status, body = _send(local_aws, "POST", "/", b"{", X_Amz_Target="AWSStepFunctions.ListStateMachines")
    assert (status, json.loads(body)["__type"]) == (400, "SerializationException")


def test_only_the_loopback_interface_is_served(local_aws: LocalAws) -> None:
    port = int(local_aws.url.rpartition(":")[2])
    with socket.socket() as probe:
        # Binding another loopback address on the same port works only where nobody listens on all of them.
        probe.bind(("127.0.0.2", port))


def test_objects_of_many_shapes_go_over_the_wire(local_aws: LocalAws) -> None:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="wire", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
    bodies = {"empty": b"", "a+b c/%25/日本": b"text", "big": bytes(range(256)) * 40_000}
    for key, body in bodies.items():
        s3.put_object(Bucket="wire", Key=key, Body=body, Metadata={"a_b": "1", "a-c": "2"})
        head = s3.head_object(Bucket="wire", Key=key)
        assert (head["ContentLength"], head["Metadata"]) == (len(body), {"a_b": "1", "a-c": "2"})
        assert s3.get_object(Bucket="wire", Key=key)["Body"].read() == body
    assert s3.get_object(Bucket="wire", Key="big", Range="bytes=1-3")["Body"].read() == b"\x01\x02\x03"
    for key in bodies:
        assert s3.delete_object(Bucket="wire", Key=key)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Contents" not in s3.list_objects_v2(Bucket="wire")


def test_a_long_poll_keeps_nobody_else_waiting(local_aws: LocalAws) -> None:
    sqs = local_aws.client("sqs")
    queue = sqs.create_queue(QueueName="poll")["QueueUrl"]
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(sqs.receive_message, QueueUrl=queue, WaitTimeSeconds=20)
        local_aws.client("dynamodb").list_tables()
        assert not polled.done()
        sqs.send_message(QueueUrl=queue, MessageBody="now")
        assert polled.result(10)["Messages"][0]["Body"] == "now"


@pytest.fixture
def cramped(tmp_path: Path) -> Callable[[int], LocalAws]:
    """A local AWS whose files cannot grow beyond a limit: a full disk."""

    def make(limit: int) -> LocalAws:
        server = LocalAws(tmp_path / "state")
        server.start()
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        return server

    return make


def _fill(s3: Any, kept: dict[str, bytes]) -> dict[str, str]:
    """Write objects until one is refused; note those that were not."""
    for number in range(100):
        body = b"%d" % number * 10_000
        try:
            s3.put_object(Bucket="disk", Key=str(number), Body=body)
        except ClientError as refusal:
            told: dict[str, str] = refusal.response["Error"]
            return told
        kept[str(number)] = body
    raise AssertionError("the disk never became full")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit is Linux's own")
def test_on_a_full_disk_writes_are_refused_and_what_was_acknowledged_stays(cramped: Any) -> None:
    server: LocalAws = cramped(400_000)
    s3 = server.client("s3")
    kept: dict[str, bytes] = {}
    try:
        s3.create_bucket(Bucket="disk", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
        refusal = _fill(s3, kept)
        assert refusal["Code"] == "StorageFullException"
        assert "Free disk space" in refusal["Message"]
        assert kept
        listed = {found["Key"] for found in s3.list_objects_v2(Bucket="disk")["Contents"]}
        assert listed == set(kept)
        server.kill()
        server.start()
        s3 = server.client("s3")
        assert {key: s3.get_object(Bucket="disk", Key=key)["Body"].read() for key in kept} == kept
        assert len(s3.list_objects_v2(Bucket="disk")["Contents"]) == len(kept)
    finally:
        server.stop()
