"""Tasks of several containers: order, essential ones, shared volumes, secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.support.local_ecs import container, definition, python, run_request, serving, until

if TYPE_CHECKING:
    from pathlib import Path

SCRATCH = [{"sourceVolume": "claim", "containerPath": "/nightlatch"}]
VOLUMES = [{"name": "claim"}]


def init(program: str, **members: Any) -> dict[str, Any]:
    return {**python(program, **members), "name": "claim", "essential": False, "mountPoints": SCRATCH}


def after(condition: str) -> list[dict[str, str]]:
    return [{"containerName": "claim", "condition": condition}]


def run(state: Path, *containers: dict[str, Any], images: dict[str, Path] | None = None) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        async with serving(state, images=images) as service:
            arn = await service.register(*containers, volumes=VOLUMES)
            reply = await service.ecs.call("RunTask", run_request(arn))
            with trio.fail_after(20):
                return await service.ecs.wait_stopped(reply["tasks"][0]["taskArn"])

    return trio.run(main)


def exits(task: dict[str, Any]) -> dict[str, int | None]:
    return {item["name"]: item.get("exitCode") for item in task["containers"]}


def test_an_init_container_hands_a_token_to_a_foreign_image_over_a_shared_volume(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    (foreign / "bin").mkdir(parents=True)
    program = foreign / "bin" / "report"
    program.write_text('#!/bin/sh\ngrep -q 17 "$TOKEN_FILE" && test "$(pwd)" = "' + str(foreign) + '"\n')
    program.chmod(0o755)
    claim = init(
        "import os, pathlib; pathlib.Path(os.environ['INTO']).write_text('17')",
        environment=[{"name": "INTO", "value": "/nightlatch/token"}],
    )
    job = {
        **container("report", image="registry.example.com/team/report:3"),
        "dependsOn": after("SUCCESS"),
        "mountPoints": SCRATCH,
        "environment": [{"name": "TOKEN_FILE", "value": "/nightlatch/token"}],
    }

    task = run(tmp_path, claim, job, images={"team/report": foreign})

    assert exits(task) == {"claim": 0, "job": 0}
    assert not (tmp_path / "tasks" / task["taskArn"].rpartition("/")[2] / "volumes").exists()


def test_a_container_whose_dependency_failed_never_starts(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    job = {**container("touch", str(ran)), "dependsOn": after("SUCCESS")}

    task = run(tmp_path, init("raise SystemExit(75)"), job)

    assert exits(task) == {"claim": 75, "job": None}
    assert not ran.exists()
    assert task["stopCode"] == "EssentialContainerExited"
    reason = next(item["reason"] for item in task["containers"] if item["name"] == "job")
    assert "claim did not exit successfully (exited with 75)" in reason


def test_a_container_that_still_waits_is_never_started_by_a_stop(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    job = {**container("touch", str(ran)), "dependsOn": after("COMPLETE")}
    waits = {**container("sleep", "600"), "name": "claim", "essential": False}

    async def main() -> None:
        async with serving(tmp_path) as service:
            task = await service.run(waits, job)

            async def claiming() -> bool:
                found = await service.describe(task["taskArn"])
                return any(item["lastStatus"] == "RUNNING" for item in found["containers"])

            await until(claiming)
            assert (await service.describe(task["taskArn"]))["lastStatus"] == "PENDING"
            await service.ecs.call("StopTask", {"task": task["taskArn"]})
            stopped = await service.ecs.wait_stopped(task["taskArn"])

            assert exits(stopped) == {"claim": 143, "job": None}
            assert stopped["stopCode"] == "UserInitiated"
            assert not ran.exists()

    trio.run(main)


def test_complete_asks_only_that_it_ended(tmp_path: Path) -> None:
    job = {**container("true"), "dependsOn": after("COMPLETE")}

    assert exits(run(tmp_path, init("raise SystemExit(3)"), job)) == {"claim": 3, "job": 0}


def test_when_an_essential_container_ends_the_others_are_stopped(tmp_path: Path) -> None:
    sidecar = {**container("sleep", "600"), "name": "claim", "essential": False}
    job = {**container("sh", "-c", "exit 4"), "dependsOn": after("START")}

    task = run(tmp_path, sidecar, job)

    assert exits(task) == {"claim": 143, "job": 4}
    assert task["stopCode"] == "EssentialContainerExited"


def test_a_sidecar_that_cannot_start_does_not_take_the_task_along(tmp_path: Path) -> None:
    sidecar = {**container("no-such-program"), "name": "claim", "essential": False}

    task = run(tmp_path, sidecar, container("true"))

    assert exits(task) == {"claim": None, "job": 0}


def test_each_container_carries_its_own_mark_and_all_end(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    says = "import os, pathlib, sys, time; p = pathlib.Path(sys.argv[1], sys.argv[2]); "
    says += "p.with_suffix('.part').write_text(os.environ['ECS_CONTAINER_METADATA_URI_V4']); "
    says += "p.with_suffix('.part').rename(p); time.sleep(600)"

    async def main() -> None:
        async with serving(tmp_path) as service:
            both = [python(says, str(marks), name) | {"name": name} for name in ("one", "two")]
            task = await service.run(*both)
            await until(lambda: {path.name for path in marks.iterdir()} == {"one", "two"})
            texts = {path.name: path.read_text() for path in marks.iterdir()}
            task_id = task["taskArn"].rpartition("/")[2]
            assert texts["one"].endswith(f"/v4/{task_id}-0")
            assert texts["two"].endswith(f"/v4/{task_id}-1")
            status, body = service.ecs.metadata(f"/v4/{task_id}-1")
            assert (status, body["Name"]) == (200, "two")

            await service.ecs.call("StopTask", {"task": task["taskArn"]})
            assert exits(await service.ecs.wait_stopped(task["taskArn"])) == {"one": 143, "two": 143}

    trio.run(main)


def test_secrets_are_fetched_and_their_absence_ends_the_start(tmp_path: Path) -> None:
    arn = "arn:aws:secretsmanager:ap-northeast-1:000000000000:secret:db-AbCdEf:password::"
    program = "import os, sys; sys.exit(os.environ['A'] + os.environ['B'] != 'from-ssmfrom-json')"
    secrets = [{"name": "A", "valueFrom": "/nightlatch/a"}, {"name": "B", "valueFrom": arn}]

    async def main() -> None:
        async with serving(tmp_path) as service:
            missing = await service.run_to_end(python(program, secrets=secrets))
            assert missing["stopCode"] == "TaskFailedToStart"
            assert missing["stoppedReason"].startswith("ResourceInitializationError: unable to pull secrets")
            service.logs.parameters["/nightlatch/a"] = "from-ssm"
            task = await service.run_to_end(python(program, secrets=secrets))
            assert exits(task) == {"job": 0}

    trio.run(main)


@pytest.mark.parametrize("path", ["/v4/nothing", "/v4/nothing/task", "/v4/"])
def test_the_metadata_endpoint_knows_only_tasks(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        async with serving(tmp_path) as service:
            assert service.ecs.metadata(path)[0] == 404

    trio.run(main)


def test_the_metadata_endpoint_describes_a_task(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as service:
            arn = (await service.ecs.call("RegisterTaskDefinition", definition(container("sleep", "600"))))[
                "taskDefinition"
            ]["taskDefinitionArn"]
            task = (await service.ecs.call("RunTask", run_request(arn)))["tasks"][0]
            await service.reaches(task["taskArn"], "RUNNING")
            status, body = service.ecs.metadata(f"/v4/{task['taskArn'].rpartition('/')[2]}/task")

            assert status == 200
            assert body["TaskARN"] == task["taskArn"]
            assert (body["Family"], body["Revision"], body["KnownStatus"]) == ("work", "1", "RUNNING")
            assert body["Limits"] == {"CPU": 0.25, "Memory": 512}
            assert body["Containers"][0]["Name"] == "job"

    trio.run(main)
