from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from nightlatch.local.http.message import HttpRequest

# X-Amz-Target prefix to botocore's service name. A service that is missing here is found by its signature.
TARGETS = {
    "AWSStepFunctions": "stepfunctions",
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AmazonSSM": "ssm",
    "AmazonSQS": "sqs",
    "AWSEvents": "events",
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "DynamoDB_20120810": "dynamodb",
    "GraniteServiceVersion20100801": "cloudwatch",
    "Logs_20140328": "logs",
    "TrentService": "kms",
    "secretsmanager": "secretsmanager",
}
# Where botocore's name differs from the name in a signature.
SIGNING_NAMES = {"states": "stepfunctions", "monitoring": "cloudwatch", "elasticloadbalancing": "elbv2"}
# The REST service that others of this process listen to; (method, resource, has a name) to the operation.
SCHEDULER = {
    ("GET", "schedules", False): "ListSchedules",
    ("GET", "schedules", True): "GetSchedule",
    ("POST", "schedules", True): "CreateSchedule",
    ("PUT", "schedules", True): "UpdateSchedule",
    ("DELETE", "schedules", True): "DeleteSchedule",
    ("GET", "schedule-groups", False): "ListScheduleGroups",
    ("GET", "schedule-groups", True): "GetScheduleGroup",
    ("POST", "schedule-groups", True): "CreateScheduleGroup",
    ("DELETE", "schedule-groups", True): "DeleteScheduleGroup",
    ("GET", "tags", True): "ListTagsForResource",
    ("POST", "tags", True): "TagResource",
    ("DELETE", "tags", True): "UntagResource",
}
_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_CBOR_PATH = re.compile(r"^/service/[^/]+/operation/(\w+)$")
_READS = re.compile(
    r"^(Get|List|Describe|Head|BatchGet|Search|Lookup|Filter|Test|Validate|Check|Scan$|Query$|TransactGet|Is|Select|View)"
)
_OBJECT_WRITES = {"PUT": "PutObject", "DELETE": "DeleteObject"}
_PART_WRITES = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
# AssumeRole makes credentials that nobody here checks; remembering them would only fill the disk.
_FORGOTTEN_SERVICES = frozenset({"sts"})


@dataclass(frozen=True)
class Route:
    """Which API a request is for.

    Attributes:
        service: botocore's name of the service.
        operation: The API's name, or the HTTP method where a REST API's name does not matter here.
        region: From the signature; empty when unsigned.
    """

    service: str
    operation: str
    region: str = ""

    @property
    def writes(self) -> bool:
        """Whether the request may change something worth remembering."""
        if self.service in _FORGOTTEN_SERVICES or self.operation in {"GET", "HEAD", "OPTIONS"}:
            return False
        return not _READS.match(self.operation)


def route(request: HttpRequest) -> Route:
    """Find the API by target header, signature and body."""
    region, signed_for = _scope(request)
    target = request.header("x-amz-target")
    if target:
        prefix, _, operation = target.partition(".")
        return Route(TARGETS.get(prefix, signed_for or prefix.lower()), operation, region)
    service = signed_for or "s3"
    cbor = _CBOR_PATH.match(request.path)
    if cbor:
        return Route(service, cbor[1], region)
    if service == "s3":
        return Route(service, s3_operation(request), region)
    if service == "scheduler":
        parts = request.path.strip("/").split("/", 1)
        operation = SCHEDULER.get((request.method, parts[0], len(parts) > 1), request.method)
        return Route(service, operation, region)
    action = _action(request.query)
    if not action and request.header("content-type").startswith("application/x-www-form-urlencoded"):
        action = _action(request.body.decode("utf-8", "replace"))
    return Route(service, action or request.method, region)


def s3_operation(request: HttpRequest) -> str:
    """The name of an S3 write on an object; bucket settings and reads go by their HTTP method."""
    _, key = s3_address(request)
    if not key or request.method in {"GET", "HEAD", "OPTIONS"}:
        return request.method
    query = parse_qs(request.query, keep_blank_values=True)
    if "uploadId" in query:
        return _PART_WRITES.get(request.method, request.method)
    if "uploads" in query:
        return "CreateMultipartUpload"
    if query.keys() - {"x-id"}:
        return request.method
    if request.method == "PUT" and request.header("x-amz-copy-source"):
        return "CopyObject"
    return _OBJECT_WRITES.get(request.method, request.method)


def s3_address(request: HttpRequest) -> tuple[str, str]:
    """Bucket and key of a path-style request, decoded."""
    bucket, _, key = unquote(request.path.lstrip("/")).partition("/")
    return bucket, key


def _scope(request: HttpRequest) -> tuple[str, str]:
    found = _SCOPE.search(request.header("authorization"))
    if not found:
        query = parse_qs(request.query).get("X-Amz-Credential", [""])[0].split("/")
        if len(query) < 5:  # noqa: PLR2004 - key/date/region/service/aws4_request
            return "", ""
        region, name = query[2], query[3]
    else:
        region, name = found[1], found[2].lower()
    return region, SIGNING_NAMES.get(name, name)


def _action(form: str) -> str:
    found = re.search(r"(?:^|&)Action=(\w+)", form)
    return found[1] if found else ""
