from __future__ import annotations

import pytest

from nightlatch.local.api_error import ApiError
from nightlatch.local.http.message import HttpRequest, error_reply
from nightlatch.local.http.parameters import parameters
from nightlatch.local.http.routing import Route, route


def _signed(service: str, region: str = "eu-west-1") -> tuple[str, str]:
    scope = f"Credential=KEY/20260101/{region}/{service}/aws4_request"
    return ("authorization", f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0")


@pytest.mark.parametrize(
    ("request_", "expected", "writes"),
    [
        (
            HttpRequest(
                "POST", "/", (("x-amz-target", "AWSStepFunctions.StartExecution"), _signed("states"))
            ),
            Route("stepfunctions", "StartExecution", "eu-west-1"),
            True,
        ),
        (
            HttpRequest(
                "POST", "/", (("x-amz-target", "AmazonEC2ContainerServiceV20141113.RunTask"), _signed("ecs"))
            ),
            Route("ecs", "RunTask", "eu-west-1"),
            True,
        ),
        (
            HttpRequest("POST", "/", (("x-amz-target", "DynamoDB_20120810.GetItem"), _signed("dynamodb"))),
            Route("dynamodb", "GetItem", "eu-west-1"),
            False,
        ),
        (
            HttpRequest(
                "POST", "/", (("x-amz-target", "DynamoDB_20120810.TransactWriteItems"), _signed("dynamodb"))
            ),
            Route("dynamodb", "TransactWriteItems", "eu-west-1"),
            True,
        ),
        (
            HttpRequest("POST", "/", (("x-amz-target", "AmazonSQS.ReceiveMessage"), _signed("sqs"))),
            Route("sqs", "ReceiveMessage", "eu-west-1"),
            True,
        ),
        (
            HttpRequest(
                "POST",
                "/",
                (("content-type", "application/x-www-form-urlencoded; charset=utf-8"), _signed("sns")),
                b"Version=2010-03-31&Action=Publish&Message=Action%3DListTopics",
            ),
            Route("sns", "Publish", "eu-west-1"),
            True,
        ),
        (
            HttpRequest(
                "POST",
                "/service/GraniteServiceVersion20100801/operation/PutMetricData",
                (_signed("monitoring"),),
            ),
            Route("cloudwatch", "PutMetricData", "eu-west-1"),
            True,
        ),
        (
            HttpRequest("POST", "/schedules/nightly", (_signed("scheduler"),), b'{"GroupName":"g"}'),
            Route("scheduler", "CreateSchedule", "eu-west-1"),
            True,
        ),
        (
            HttpRequest("GET", "/schedules/nightly?groupName=g", (_signed("scheduler"),)),
            Route("scheduler", "GetSchedule", "eu-west-1"),
            False,
        ),
        (HttpRequest("PUT", "/bucket/a%2Fb", (_signed("s3"),)), Route("s3", "PutObject", "eu-west-1"), True),
        (HttpRequest("PUT", "/bucket", (_signed("s3"),)), Route("s3", "PUT", "eu-west-1"), True),
        (HttpRequest("HEAD", "/bucket/k", (_signed("s3"),)), Route("s3", "HEAD", "eu-west-1"), False),
        (
            HttpRequest("PUT", "/bucket/k?partNumber=1&uploadId=u", (_signed("s3"),)),
            Route("s3", "UploadPart", "eu-west-1"),
            True,
        ),
        (
            HttpRequest("PUT", "/bucket/k", (_signed("s3"), ("x-amz-copy-source", "b/o"))),
            Route("s3", "CopyObject", "eu-west-1"),
            True,
        ),
        (
            HttpRequest("PUT", "/bucket/k?X-Amz-Credential=K%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"),
            Route("s3", "PUT", "us-east-1"),
            True,
        ),
        (
            HttpRequest("POST", "/", (_signed("sts"),), b"Action=AssumeRole"),
            Route("sts", "POST", "eu-west-1"),
            False,
        ),
    ],
)
def test_a_request_is_found_by_target_signature_and_body(
    request_: HttpRequest,
    expected: Route,
    writes: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    found = route(request_)
    assert found == expected
    assert found.writes is writes


def test_the_name_in_a_rest_path_is_among_the_parameters() -> None:
    request = HttpRequest("POST", "/schedules/nightly", (_signed("scheduler"),), b'{"GroupName":"g"}')
    assert parameters(request, route(request)) == {"GroupName": "g", "Name": "nightly"}


def test_an_error_speaks_the_callers_dialect() -> None:
    error = ApiError("ThingException", "a < b", 400)
    target = HttpRequest(
        "POST", "/", (("x-amz-target", "A.B"), ("content-type", "application/x-amz-json-1.0"))
    )
    reply = error_reply(error, target)
    assert reply.body == b'{"__type":"ThingException","message":"a < b"}'
    assert ("content-type", "application/x-amz-json-1.0") in reply.headers
    assert (
        b"<Error><Type>Sender</Type><Code>ThingException</Code><Message>a &lt; b"
        in error_reply(error, HttpRequest("PUT", "/b/k")).body
    )
    form = HttpRequest("POST", "/", (("content-type", "application/x-www-form-urlencoded"),))
    assert error_reply(error, form).body.startswith(b"<ErrorResponse><Error>")
