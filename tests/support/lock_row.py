"""A lock row and a task metadata endpoint, as a container meets them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tasks.contract import variables

TABLE = "nightlatch-local-locks"
OWNER = "arn:aws:states:ap-northeast-1:000000000000:execution:nightlatch-local-nightly:r1"


def create_lock_table(dynamodb: Any) -> None:
    # moto keeps one state for all servers of a process: another test file may have made it.
    with suppress(dynamodb.exceptions.ResourceInUseException):
        dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "lock_key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "lock_key", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )


def create_bucket(s3: Any, name: str) -> None:
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})


def hold(dynamodb: Any, key: str, *, grant: str, owner: str = OWNER, fence: int = 1000) -> None:
    """Put the row as it stands after Acquire or re-arm."""
    holder = {"owner": {"S": owner}, "grant": {"S": grant}, "kind": {"S": "sfn"}, "job": {"S": "nightly"}}
    dynamodb.put_item(
        TableName=TABLE,
        Item={"lock_key": {"S": key}, "fence": {"N": str(fence)}, "holder": {"M": holder}},
    )


def row(dynamodb: Any, key: str) -> dict[str, Any]:
    item: dict[str, Any] = dynamodb.get_item(
        TableName=TABLE, Key={"lock_key": {"S": key}}, ConsistentRead=True
    )["Item"]
    return item


def lock_variables(key: str, grant: str, metadata: str, owner: str = OWNER) -> dict[str, str]:
    return {
        variables.LOCK_TABLE: TABLE,
        variables.LOCK_KEY: key,
        variables.OWNER: owner,
        variables.GRANT: grant,
        variables.METADATA_URI: metadata,
    }


class _Metadata(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        task = self.path.split("/")[2]
        arn = f"arn:aws:ecs:ap-northeast-1:000000000000:task/nightlatch-local/{task}"
        body = json.dumps({"Cluster": "nightlatch-local", "TaskARN": arn}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        pass


@contextmanager
def metadata_endpoint() -> Iterator[str]:
    """Yields the base URL; the task's id is the last part of ``URL/v4/ID``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Metadata)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v4"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
