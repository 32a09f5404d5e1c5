from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import wait_all_tasks_blocked

from nightlatch.local.api_error import ApiError
from nightlatch.local.aws import Aws
from nightlatch.local.http.app import App
from nightlatch.local.http.message import HttpReply, HttpRequest
from nightlatch.local.own_pages import OwnPages

if TYPE_CHECKING:
    import pytest

    from nightlatch.local.http.routing import Route


class Moto:
    """Answers everything with the name of the operation."""

    async def handle(self, request: HttpRequest, found: Route | None = None) -> HttpReply:
        return HttpReply(200, (), (found.operation if found else "").encode())

    async def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"moto": operation}


class Native:
    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation == "Break":
            raise RuntimeError("broken inside")
        return {"operation": operation, "request": request}


class House:
    def __init__(self) -> None:
        self.ready = trio.Event()
        self.fired: list[tuple[str, str, str | None]] = []
        self.aws = Aws(Moto())
        self.aws.provide("ecs", Native())
        self.aws.provide("events", Native(), frozenset({"PutEvents"}))
        self.own = OwnPages(ready=self.ready, details=lambda: {"more": 1}, fire=self._fire)
        self.app = App(
            aws=self.aws,
            moto=Moto(),
            ready=self.ready,
            own=self.own.answer,
            metadata=self._metadata,
            check=self._check,
        )

    async def _fire(self, group: str, name: str, scheduled: str | None) -> dict[str, Any]:
        self.fired.append((group, name, scheduled))
        return {"delivered": True}

    @staticmethod
    async def _metadata(request: HttpRequest) -> HttpReply:
        return HttpReply(200, (), f"metadata {request.path}".encode())

    @staticmethod
    def _check(service: str, operation: str, params: dict[str, Any]) -> None:
        assert service in {"events", "scheduler"}
        if params.get("ScheduleExpression") == "wrong":
            raise ApiError("ValidationException", f"{operation} {params['Name']}")


def _target(target: str, body: bytes = b"{}") -> HttpRequest:
    return HttpRequest(
        "POST", "/", (("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")), body
    )


def _answer(request: HttpRequest, *, house: House | None = None) -> HttpReply:
    async def main() -> HttpReply:
        made = house or House()
        made.ready.set()
        return await made.app.answer(request)

    return trio.run(main)


def test_ours_answer_what_is_ours_and_moto_the_rest() -> None:
    ours = _answer(_target("AmazonEC2ContainerServiceV20141113.RunTask", b'{"a":1}'))
    assert json.loads(ours.body) == {"operation": "RunTask", "request": {"a": 1}}
    assert ("content-type", "application/x-amz-json-1.1") in ours.headers
    assert json.loads(_answer(_target("AWSEvents.PutEvents")).body)["operation"] == "PutEvents"
    assert _answer(_target("AWSEvents.ListRules")).body == b"ListRules"
    assert _answer(_target("DynamoDB_20120810.GetItem")).body == b"GetItem"


def test_calls_from_inside_go_the_same_ways() -> None:
    async def main() -> list[dict[str, Any]]:
        aws = House().aws
        return [await aws.call(*call, {}) for call in (("events", "PutEvents"), ("events", "ListRules"))]

    assert trio.run(main) == [{"operation": "PutEvents", "request": {}}, {"moto": "ListRules"}]


def test_an_accident_answers_500_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    reply = _answer(_target("AmazonEC2ContainerServiceV20141113.Break"))
    assert reply.status == 500
    assert json.loads(reply.body)["__type"] == "InternalFailure"
    assert "broken inside" in capsys.readouterr().err


def test_task_metadata_is_for_tasks_and_a_bucket_called_v4_for_clients() -> None:
    assert _answer(HttpRequest("GET", "/v4/abc/task")).body == b"metadata /v4/abc/task"
    scope = "AWS4-HMAC-SHA256 Credential=K/20260101/eu-west-1/s3/aws4_request, Signature=0"
    assert _answer(HttpRequest("GET", "/v4/abc", (("authorization", scope),))).body == b"GET"


def test_what_aws_would_refuse_is_refused_before_moto_sees_it() -> None:
    scope = "AWS4-HMAC-SHA256 Credential=K/20260101/eu-west-1/scheduler/aws4_request, Signature=0"
    headers = (("authorization", scope), ("content-type", "application/json"))
    bad = HttpRequest("POST", "/schedules/n", headers, b'{"ScheduleExpression":"wrong"}')
    reply = _answer(bad)
    assert (reply.status, json.loads(reply.body)["message"]) == (400, "CreateSchedule n")
    good = HttpRequest("POST", "/schedules/n", headers, b'{"ScheduleExpression":"rate(1 minute)"}')
    assert _answer(good).body == b"CreateSchedule"


def test_until_everything_is_ready_only_the_health_page_answers() -> None:
    async def main() -> None:
        house = House()
        answered: list[HttpReply] = []

        async def ask() -> None:
            answered.append(await house.app.answer(_target("DynamoDB_20120810.GetItem")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            health = json.loads((await house.app.answer(HttpRequest("GET", "/_nightlatch/health"))).body)
            assert (health["ready"], health["more"], answered) == (False, 1, [])
            house.ready.set()
        assert answered[0].body == b"GetItem"

    trio.run(main)


def test_a_schedule_is_fired_by_its_page() -> None:
    house = House.__new__(House)

    async def main() -> None:
        House.__init__(house)
        house.ready.set()
        page = "/_nightlatch/schedules/nightlatch-local/nightly%2Darticles/fire"
        reply = await house.app.answer(
            HttpRequest("POST", page, (), b'{"scheduled_time":"2026-11-21T21:00:00Z"}')
        )
        assert json.loads(reply.body) == {"delivered": True}
        assert (await house.app.answer(HttpRequest("GET", page))).status == 405

    trio.run(main)
    assert house.fired == [("nightlatch-local", "nightly-articles", "2026-11-21T21:00:00Z")]
