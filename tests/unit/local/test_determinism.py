from __future__ import annotations

import datetime as dt
import http.server
import threading
from typing import TYPE_CHECKING, Any

import pytest

from nightlatch.local.moto import determinism
from nightlatch.local.moto.botocore_caller import BotocoreCaller
from nightlatch.local.moto.engine import MotoEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES = ("ec2", "sns", "sqs", "s3", "kms")


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    _forget()


def _forget() -> None:
    from moto.backends import get_backend  # noqa: PLC0415 - heavy

    for service in SERVICES:
        get_backend(service).reset()


def _ids(path: Path) -> list[Any]:
    """Identifiers and times as a fresh engine on this journal gives them."""
    caller = BotocoreCaller(MotoEngine(path, "000000000000"), "ap-northeast-1", "127.0.0.1")
    vpcs = caller.call("ec2", "DescribeVpcs", {})[0]["Vpcs"]
    uploads = caller.call("s3", "ListMultipartUploads", {"Bucket": "bucket"})[0]["Uploads"]
    keys = caller.call("kms", "ListKeys", {})[0]["Keys"]
    return [[vpc["VpcId"] for vpc in vpcs], uploads, keys]


def test_a_replay_gives_the_same_identifiers_and_times(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    caller = BotocoreCaller(MotoEngine(path, "000000000000"), "ap-northeast-1", "127.0.0.1")
    where = {"CreateBucketConfiguration": {"LocationConstraint": "ap-northeast-1"}}
    caller.call("s3", "CreateBucket", {"Bucket": "bucket", **where})
    caller.call("s3", "CreateMultipartUpload", {"Bucket": "bucket", "Key": "k"})
    caller.call("ec2", "CreateVpc", {"CidrBlock": "10.0.0.0/16"})
    caller.call("kms", "CreateKey", {})
    _forget()
    first = _ids(path)
    _forget()
    assert _ids(path) == first
    assert len(first[0]) == 2


def test_moto_sees_the_held_time_and_nobody_else_does() -> None:
    from moto.core import utils  # noqa: PLC0415 - heavy

    determinism.make_repeatable()
    with determinism.held(86_400.5, 1):
        assert utils.utcnow() == dt.datetime(1970, 1, 2, 0, 0, 0, 500_000)  # noqa: DTZ001 - as moto has it
        assert dt.datetime.now(dt.UTC).year > 2000
        assert isinstance(utils.utcnow(), dt.datetime)
    assert utils.utcnow().year > 2000


class _Subscriber(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.release()  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


def test_a_topics_http_subscriber_hears_once_and_not_again_at_a_replay(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with http.server.HTTPServer(("127.0.0.1", 0), _Subscriber) as server:
        heard = server.heard = threading.Semaphore(0)  # type: ignore[attr-defined]
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        engine = MotoEngine(path, "000000000000")
        caller = BotocoreCaller(engine, "ap-northeast-1", "127.0.0.1")
        topic = caller.call("sns", "CreateTopic", {"Name": "t"})[0]["TopicArn"]
        url = f"http://127.0.0.1:{server.server_port}/"
        caller.call("sns", "Subscribe", {"TopicArn": topic, "Protocol": "http", "Endpoint": url})
        caller.call("sns", "Publish", {"TopicArn": topic, "Message": "m"})
        assert heard.acquire(timeout=10)
        engine.close()
        _forget()
        again = MotoEngine(path, "000000000000")
        again.load()
        assert again.replayed == 3
        assert not heard.acquire(timeout=0.3)
        server.shutdown()
        serving.join()
