"""RegisterTaskDefinition accepts and refuses what ECS does; revisions live as on AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.ecs.definition_rules import check_definition
from nightlatch.local.ecs.images import HostImages
from nightlatch.local.ecs.runner import StartError
from nightlatch.local.ecs.sizes import FARGATE_SIZES, cpu_units, memory_mib, require_fargate_size
from tests.support.local_ecs import awslogs, container, definition, serving

if TYPE_CHECKING:
    from pathlib import Path

JOB = container("true")
SIDE = {**container("true"), "name": "side", "essential": False}


def depends(name: str, condition: str) -> list[dict[str, str]]:
    return [{"containerName": name, "condition": condition}]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (definition(JOB, family="with space"), "Family"),
        (definition(), "Container list cannot be empty"),
        (definition(JOB, networkMode="bridge"), "network mode"),
        (definition(JOB, cpu=None), "'cpu' be defined at the task level"),
        (definition(JOB, memory=""), "'memory' be defined at the task level"),
        (
            definition(JOB, cpu="256", memory="4096"),
            "No Fargate configuration exists for given values: 256 CPU, 4096",
        ),
        (definition(JOB, cpu="300"), "No Fargate configuration"),
        (definition(JOB, cpu="many"), "Invalid 'cpu'"),
        (definition(JOB | {"name": "../job"}), "Container name"),
        (definition(JOB | {"image": ""}), "image should not be null"),
        (definition(JOB | {"memory": 1024}), "exceeds the task's memory"),
        (definition(JOB | {"stopTimeout": 1}), "stopTimeout"),
        (definition(JOB | {"stopTimeout": 121}), "stopTimeout"),
        (definition(JOB, JOB), "must be unique"),
        (definition(SIDE), "must be essential"),
        (definition(JOB | {"logConfiguration": {"logDriver": "json-file"}}), "not supported on Fargate"),
        (definition(JOB | {"logConfiguration": {"logDriver": "awslogs"}}), "requires options: awslogs-group"),
        (definition(JOB | {"logConfiguration": awslogs()}, executionRoleArn=None), "execution role ARN"),
        (definition(JOB | {"mountPoints": [{"sourceVolume": "v"}]}), "Unknown volume 'v'"),
        (definition(JOB, volumes=[{"name": "../../etc"}]), "Volume name"),
        (definition(JOB, volumes=[{"name": "v", "host": {"sourcePath": "/"}}]), "sourcePath"),
        (
            definition(JOB | {"environment": [{"name": "A"}], "secrets": [{"name": "A"}]}),
            "secret name must be unique",
        ),
        (definition(JOB | {"dependsOn": depends("nobody", "START")}, SIDE), "unknown container 'nobody'"),
        (definition(JOB | {"dependsOn": depends("side", "SOON")}, SIDE), "Invalid dependency condition"),
        (definition(JOB | {"dependsOn": depends("side", "HEALTHY")}, SIDE), "no health checks"),
        (definition(JOB, SIDE | {"dependsOn": depends("job", "SUCCESS")}), "essential=true"),
        (
            definition(
                JOB | {"dependsOn": depends("side", "START")}, SIDE | {"dependsOn": depends("job", "START")}
            ),
            "cycle in the container dependencies: job, side",
        ),
        ({"family": "f", "containerDefinitions": [JOB]}, "At least one of 'memory' or 'memoryReservation'"),
    ],
)
def test_what_ecs_refuses(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_definition(request_)

    assert refused.value.code == "ClientException"
    assert message in refused.value.message


def test_every_fargate_size_is_accepted_and_nothing_between() -> None:
    assert sum(len(sizes) for sizes in FARGATE_SIZES.values()) == 3 + 4 + 7 + 13 + 23 + 12 + 12
    for cpu, sizes in FARGATE_SIZES.items():
        for memory in sizes:
            require_fargate_size(cpu, memory)
            with pytest.raises(ApiError):
                require_fargate_size(cpu, memory + 1)


@pytest.mark.parametrize(
    ("text", "units"), [("256", 256), (".25 vCPU", 256), ("1vcpu", 1024), ("2 vCPU", 2048)]
)
def test_cpu_may_be_written_in_vcpus(text: str, units: int) -> None:
    assert cpu_units(text) == units


@pytest.mark.parametrize(("text", "mib"), [("512", 512), ("0.5 GB", 512), ("2GB", 2048)])
def test_memory_may_be_written_in_gb(text: str, mib: int) -> None:
    assert memory_mib(text) == mib


def test_revisions_count_up_and_are_never_given_twice(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as service:
            call = service.ecs.call
            first, second = await service.register(JOB), await service.register(JOB)
            assert (first[-7:], second[-7:]) == ("/work:1", "/work:2")
            assert (await call("DescribeTaskDefinition", {"taskDefinition": "work"}))["taskDefinition"][
                "revision"
            ] == 2

            deregistered = await call("DeregisterTaskDefinition", {"taskDefinition": second})
            assert deregistered["taskDefinition"]["status"] == "INACTIVE"
            latest = await call("DescribeTaskDefinition", {"taskDefinition": "work"})
            assert latest["taskDefinition"]["revision"] == 1
            deleted = await call("DeleteTaskDefinitions", {"taskDefinitions": [first, second, "none:1"]})
            assert [item["revision"] for item in deleted["taskDefinitions"]] == [2]
            assert [item["reason"] for item in deleted["failures"]][1] == "MISSING"
            with pytest.raises(ApiError, match="Unable to describe task definition"):
                await call("DescribeTaskDefinition", {"taskDefinition": "work:2"})

            assert (await service.register(JOB))[-7:] == "/work:3"
        async with serving(tmp_path) as service:
            listed = await service.ecs.call("ListTaskDefinitions", {"familyPrefix": "work", "sort": "DESC"})
            assert [arn[-7:] for arn in listed["taskDefinitionArns"]] == ["/work:3", "/work:1"]

    trio.run(main)


def test_families_are_listed_by_status(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as service:
            call = service.ecs.call
            await service.register(JOB, family="one")
            two = await service.register(JOB, family="two")
            await call("DeregisterTaskDefinition", {"taskDefinition": two})

            assert (await call("ListTaskDefinitionFamilies", {}))["families"] == ["one", "two"]
            assert (await call("ListTaskDefinitionFamilies", {"status": "ACTIVE"}))["families"] == ["one"]
            assert (await call("ListTaskDefinitionFamilies", {"familyPrefix": "t"}))["families"] == ["two"]

    trio.run(main)


@pytest.mark.parametrize(
    "image",
    [
        "nightlatch",
        "nightlatch:latest",
        "nightlatch/tasks@sha256:0123",
        "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/nightlatch-dev/tasks:1",
        "localhost:5000/nightlatch:1",
    ],
)
def test_our_image_is_this_installation_under_any_registry(tmp_path: Path, image: str) -> None:
    assert HostImages({}, tmp_path).resolve(image).directory == tmp_path


@pytest.mark.parametrize(
    "image", ["team/report", "team/report:3", "registry.example.com/team/report@sha256:01"]
)
def test_another_image_is_the_directory_that_was_named_for_it(tmp_path: Path, image: str) -> None:
    found = HostImages({"team/report": tmp_path}, search="/usr/bin").resolve(image)

    assert found.directory == tmp_path
    assert found.path == f"{tmp_path}/bin:{tmp_path}:/usr/bin"


@pytest.mark.parametrize("image", ["postgres:16", "evil.example.com/other", "notnightlatch"])
def test_an_image_nobody_described_cannot_be_pulled(tmp_path: Path, image: str) -> None:
    with pytest.raises(StartError, match=r"CannotPullContainerError.*--image"):
        HostImages({}, tmp_path).resolve(image)


def test_a_directory_that_is_gone_cannot_be_pulled(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="is not a directory"):
        HostImages({"team/report": tmp_path / "gone"}).resolve("team/report:1")
