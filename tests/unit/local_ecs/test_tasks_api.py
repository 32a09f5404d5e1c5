"""RunTask, StopTask, DescribeTasks and ListTasks as callers see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from nightlatch.local.api_error import ApiError
from tests.support.local_ecs import NETWORK, Serving, container, run_request, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

QUICK = container("true")
LONG = container("sleep", "600")


def with_service(state: Path, body: Callable[[Serving], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(state) as service:
            await body(service)

    trio.run(main)


async def refused(service: Serving, operation: str, request: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await service.ecs.call(operation, request)
    return caught.value


def test_a_client_token_means_the_same_tasks(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        arn = await service.register(QUICK)
        request = run_request(arn, clientToken="night-1", count=2)
        first = await service.ecs.call("RunTask", request)
        arns = [task["taskArn"] for task in first["tasks"]]
        for one in arns:
            await service.ecs.wait_stopped(one)
        again = await service.ecs.call("RunTask", request)

        assert len(set(arns)) == 2
        assert [task["taskArn"] for task in again["tasks"]] == arns
        assert {task["lastStatus"] for task in again["tasks"]} == {"STOPPED"}
        conflict = await refused(service, "RunTask", {**request, "count": 1})
        assert conflict.code == "ConflictException"
        assert arns[0] in conflict.message

    with_service(tmp_path, body)


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"cluster": "nowhere"}, "ClusterNotFoundException", "Cluster not found."),
        ({"taskDefinition": "nothing"}, "ClientException", "TaskDefinition not found."),
        ({"count": 11}, "InvalidParameterException", "Count"),
        ({"count": 0}, "InvalidParameterException", "Count"),
        ({"launchType": "MOON"}, "InvalidParameterException", "Invalid launch type"),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "InvalidParameterException",
            "both a launch type and capacity provider strategy",
        ),
        (
            {"networkConfiguration": None},
            "InvalidParameterException",
            "Network Configuration must be provided",
        ),
        ({"startedBy": "arn:aws:states"}, "InvalidParameterException", "startedBy"),
        ({"clientToken": "x" * 65}, "InvalidParameterException", "clientToken"),
        ({"propagateTags": "SERVICE"}, "InvalidParameterException", "SERVICE"),
        (
            {"overrides": {"containerOverrides": [{"name": "other"}]}},
            "InvalidParameterException",
            "Override for container named other is not a container in the TaskDefinition.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": "job", "command": ["x" * 8192]}]}},
            "InvalidParameterException",
            "length must be at most 8192",
        ),
        ({"tags": [{"key": str(n), "value": ""} for n in range(51)]}, "InvalidParameterException", "Tags"),
    ],
)
def test_what_run_task_refuses(tmp_path: Path, members: dict[str, Any], code: str, message: str) -> None:
    async def body(service: Serving) -> None:
        arn = await service.register(QUICK)
        error = await refused(service, "RunTask", run_request(arn) | members)

        assert error.code == code
        assert message in error.message
        assert (await service.ecs.call("ListTasks", {}))["taskArns"] == []

    with_service(tmp_path, body)


def test_an_inactive_definition_runs_no_more(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        arn = await service.register(QUICK)
        await service.ecs.call("DeregisterTaskDefinition", {"taskDefinition": arn})

        assert (await refused(service, "RunTask", run_request(arn))).message == "TaskDefinition is inactive"

    with_service(tmp_path, body)


def test_tasks_are_listed_by_desired_status_family_and_starter(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        call = service.ecs.call
        other = await service.register(LONG, family="other")
        mine = (await service.run(LONG, startedBy="AWS Step Functions"))["taskArn"]
        theirs = (await call("RunTask", run_request(other)))["tasks"][0]["taskArn"]
        await service.reaches(mine, "RUNNING")

        async def listed(**asked: Any) -> list[str]:
            arns: list[str] = (await call("ListTasks", asked))["taskArns"]
            return arns

        assert sorted(await listed()) == sorted([mine, theirs])
        assert await listed(family="other") == [theirs]
        assert await listed(startedBy="AWS Step Functions") == [mine]
        assert await listed(launchType="EC2") == []
        await call("StopTask", {"task": mine})
        # It may still be working, but it is not wanted any more.
        assert await listed() == [theirs]
        assert await listed(desiredStatus="STOPPED") == [mine]
        both = await refused(service, "ListTasks", {"startedBy": "x", "family": "y"})
        assert both.code == "InvalidParameterException"

    with_service(tmp_path, body)


def test_lists_come_in_pages(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        arn = await service.register(LONG)
        await service.ecs.call("RunTask", run_request(arn, count=5))
        seen: list[str] = []
        asked: dict[str, Any] = {"maxResults": 2}
        while True:
            reply = await service.ecs.call("ListTasks", asked)
            assert len(reply["taskArns"]) <= 2
            seen += reply["taskArns"]
            if "nextToken" not in reply:
                break
            asked["nextToken"] = reply["nextToken"]

        assert len(seen) == len(set(seen)) == 5
        assert (await refused(service, "ListTasks", {"nextToken": "??"})).code == "InvalidParameterException"
        assert (await refused(service, "ListTasks", {"maxResults": 101})).code == "InvalidParameterException"

    with_service(tmp_path, body)


def test_describe_finds_by_id_and_tells_what_is_missing(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        task = await service.run(QUICK, tags=[{"key": "night", "value": "1"}])
        task_id = task["taskArn"].rpartition("/")[2]
        await service.ecs.call("CreateCluster", {"clusterName": "second"})

        found = await service.ecs.call("DescribeTasks", {"tasks": [task_id, "gone"], "include": ["TAGS"]})
        elsewhere = await service.ecs.call("DescribeTasks", {"cluster": "second", "tasks": [task_id]})

        assert [item["tags"] for item in found["tasks"]] == [[{"key": "night", "value": "1"}]]
        assert [(item["reason"], item["arn"][-5:]) for item in found["failures"]] == [("MISSING", "/gone")]
        assert (elsewhere["tasks"], len(elsewhere["failures"])) == ([], 1)
        assert (await refused(service, "DescribeTasks", {"tasks": []})).code == "InvalidParameterException"
        too_many = await refused(service, "DescribeTasks", {"tasks": ["x"] * 101})
        assert too_many.code == "InvalidParameterException"

    with_service(tmp_path, body)


def test_stopping_is_idempotent_and_deletes_tags(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        task = await service.run(LONG, tags=[{"key": "night", "value": "1"}])
        await service.ecs.call("StopTask", {"task": task["taskArn"], "reason": "first"})
        await service.ecs.wait_stopped(task["taskArn"])
        again = await service.ecs.call("StopTask", {"task": task["taskArn"], "reason": "second"})

        assert again["task"]["stoppedReason"] == "first"
        assert (await service.ecs.call("ListTagsForResource", {"resourceArn": task["taskArn"]}))["tags"] == []
        missing = await refused(service, "StopTask", {"task": "none"})
        assert missing.message == "The referenced task was not found."

    with_service(tmp_path, body)


def test_tags_come_from_the_definition_if_asked(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        arn = await service.register(QUICK, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "1"}])
        request = run_request(arn, propagateTags="TASK_DEFINITION", tags=[{"key": "b", "value": "2"}])
        reply = await service.ecs.call("RunTask", request)

        assert reply["tasks"][0]["tags"] == [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]

    with_service(tmp_path, body)


def test_the_clusters_strategy_is_the_default(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        put = {
            "cluster": "default",
            "capacityProviders": ["FARGATE_SPOT"],
            "defaultCapacityProviderStrategy": spot,
        }
        await service.ecs.call("PutClusterCapacityProviders", put)
        arn = await service.register(QUICK)
        reply = await service.ecs.call("RunTask", {"taskDefinition": arn, "networkConfiguration": NETWORK})

        assert reply["tasks"][0]["capacityProviderName"] == "FARGATE_SPOT"

    with_service(tmp_path, body)


def test_a_cluster_with_tasks_is_not_deleted(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        task = await service.run(LONG)
        await service.reaches(task["taskArn"], "RUNNING")
        assert (await refused(service, "DeleteCluster", {"cluster": "default"})).code == (
            "ClusterContainsTasksException"
        )
        (cluster,) = (await service.ecs.call("DescribeClusters", {}))["clusters"]
        assert (cluster["runningTasksCount"], cluster["pendingTasksCount"]) == (1, 0)

        await service.ecs.call("StopTask", {"task": task["taskArn"]})
        await service.ecs.wait_stopped(task["taskArn"])
        assert (await service.ecs.call("DeleteCluster", {"cluster": "default"}))["cluster"][
            "status"
        ] == "INACTIVE"
        gone = await refused(service, "RunTask", run_request("work:1"))
        assert gone.code == "ClusterNotFoundException"
        assert (await service.ecs.call("ListClusters", {}))["clusterArns"] == []

    with_service(tmp_path, body)


def test_what_is_not_offered_is_said(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        error = await refused(service, "CreateService", {})
        assert error.code == "UnsupportedFeatureException"
        assert "ecs:CreateService" in error.message

    with_service(tmp_path, body)
