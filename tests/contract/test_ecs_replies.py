"""Every reply of the local ECS has exactly members that AWS's own model knows, of the right types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, StructureShape

from tests.support.local_ecs import awslogs, container, definition, run_request, serving, until

if TYPE_CHECKING:
    from pathlib import Path

    from botocore.model import Shape

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "timestamp": (int, float),
    "double": (int, float),
    "float": (int, float),
}
ECS = ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")


def faults(value: Any, shape: Shape, path: str) -> list[str]:
    """Where a value departs from its shape."""
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            return [f"{path} is no structure"]
        unknown = [f"{path}.{name} is unknown" for name in value if name not in shape.members]
        inner = [
            fault
            for name, item in value.items()
            if name in shape.members
            for fault in faults(item, shape.members[name], f"{path}.{name}")
        ]
        return unknown + inner
    if isinstance(shape, ListShape):
        return [fault for item in value for fault in faults(item, shape.member, f"{path}[]")]
    if isinstance(shape, MapShape):
        return [fault for key, item in value.items() for fault in faults(item, shape.value, f"{path}.{key}")]
    good = isinstance(value, TYPES[shape.type_name]) and (
        shape.type_name == "boolean" or not isinstance(value, bool)
    )
    return [] if good else [f"{path} is {value!r}, not a {shape.type_name}"]


def test_replies_have_the_shape_of_aws(tmp_path: Path) -> None:
    job = container("sh", "-c", "exit 3", logConfiguration=awslogs(), stopTimeout=2)
    tags = [{"key": "a", "value": "b"}]
    seen: list[str] = []

    async def main() -> None:
        async with serving(tmp_path) as service:

            async def call(operation: str, **request: Any) -> dict[str, Any]:
                reply = await service.ecs.call(operation, request)
                assert faults(reply, ECS.operation_model(operation).output_shape, operation) == []
                seen.append(operation)
                return reply

            await call(
                "CreateCluster",
                clusterName="c",
                tags=tags,
                settings=[{"name": "containerInsights", "value": "enabled"}],
            )
            await call(
                "UpdateCluster", cluster="c", settings=[{"name": "containerInsights", "value": "disabled"}]
            )
            await call("UpdateClusterSettings", cluster="c", settings=[])
            await call(
                "PutClusterCapacityProviders",
                cluster="c",
                capacityProviders=["FARGATE"],
                defaultCapacityProviderStrategy=[],
            )
            await call("DescribeCapacityProviders")
            await call(
                "DescribeClusters", clusters=["c", "x"], include=["TAGS", "SETTINGS", "CONFIGURATIONS"]
            )
            await call("ListClusters")
            registered = await call(
                "RegisterTaskDefinition", **definition(job, tags=tags, volumes=[{"name": "v"}])
            )
            arn = registered["taskDefinition"]["taskDefinitionArn"]
            await call("DescribeTaskDefinition", taskDefinition="work", include=["TAGS"])
            await call("ListTaskDefinitions")
            await call("ListTaskDefinitionFamilies")
            await call("TagResource", resourceArn=arn, tags=tags)
            await call("ListTagsForResource", resourceArn=arn)
            await call("UntagResource", resourceArn=arn, tagKeys=["a"])
            await call("PutAccountSetting", name="containerInsights", value="enabled")
            await call("PutAccountSettingDefault", name="containerInsights", value="enabled")
            await call("ListAccountSettings", effectiveSettings=True)
            await call("DeleteAccountSetting", name="containerInsights")
            task = (await call("RunTask", **run_request(arn, cluster="c", tags=tags)))["tasks"][0]["taskArn"]
            await call("ListTasks", cluster="c")
            await call("StopTask", cluster="c", task=task)
            await service.ecs.wait_stopped(task)
            failing = (await call("RunTask", **run_request(arn, cluster="c")))["tasks"][0]["taskArn"]
            ended = await service.ecs.wait_stopped(failing)
            assert ended["containers"][0]["exitCode"] == 3
            described = await call("DescribeTasks", cluster="c", tasks=[task, failing, "x"], include=["TAGS"])
            assert len(described["tasks"]) == 2
            await call("DeregisterTaskDefinition", taskDefinition=arn)
            await call("DeleteTaskDefinitions", taskDefinitions=[arn])
            await call("DeleteCluster", cluster="c")
            await until(lambda: service.events[-1]["detail"]["lastStatus"] == "STOPPED")
            # The event's detail is the task with its times as text, and when it was updated.
            shape = ECS.shape_for("Task")
            detail = {
                name: item for name, item in service.events[-1]["detail"].items() if name != "updatedAt"
            }
            assert [fault for fault in faults(detail, shape, "detail") if "timestamp" not in fault] == []
            offered = set(service.ecs._operations)
            assert offered - set(seen) == set()

    trio.run(main)
