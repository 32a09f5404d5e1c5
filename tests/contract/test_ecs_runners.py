"""One suite for every runner: what a container does must not depend on what runs it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import trio

from nightlatch.local.ecs.docker_runner import DockerRunner
from nightlatch.local.ecs.images import HostImages
from nightlatch.local.ecs.process_runner import ProcessRunner, base_environment
from nightlatch.local.ecs.runner import OUT_OF_MEMORY, ContainerSpec, Exit, Runner, StartError
from tests.support.local_ecs import ENDPOINT, until

if TYPE_CHECKING:
    from collections.abc import Callable

FAKE_DOCKER = Path(__file__).parents[1] / "support" / "programs" / "docker"
READY_THEN_SLEEP = """
import pathlib, signal, sys, time
if sys.argv[2] == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
pathlib.Path(sys.argv[1]).write_text("ready")
time.sleep(600)
"""


def fake_docker(directory: Path) -> str:
    """A docker command with a state of its own."""
    program = directory / "bin" / "docker"
    program.parent.mkdir()
    body = FAKE_DOCKER.read_text().partition("\n")[2]
    program.write_text(f"#!{sys.executable} -SE\n{body}")
    program.chmod(0o755)
    return str(program)


@pytest.fixture(params=["process", "docker"])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Runner:
    environment = base_environment(ENDPOINT, "ap-northeast-1")
    if request.param == "process":
        return ProcessRunner(HostImages({}, tmp_path), environment)
    return DockerRunner(environment, fake_docker(tmp_path))


@pytest.fixture
def spec(tmp_path: Path) -> ContainerSpec:
    (tmp_path / "tmp").mkdir()
    return ContainerSpec(
        task_id="0123456789abcdef",
        name="job",
        image="nightlatch/tasks:1",
        entry_point=[sys.executable, "-c"],
        command=["print('hello')"],
        environment={"A": "1 and = and more"},
        working_directory=None,
        marker=f"{ENDPOINT}/v4/0123456789abcdef",
        output=tmp_path / "job.log",
        scratch=tmp_path / "tmp",
        memory=256,
        stop_seconds=2,
    )


def run(runner: Runner, spec: ContainerSpec, meanwhile: Callable[[Any], Any] | None = None) -> Exit:
    async def main() -> Exit:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            with trio.fail_after(20):
                running = await runner.start(spec, lambda _: None)
                if meanwhile is not None:
                    nursery.start_soon(meanwhile, running)
                end = await running.wait()
            nursery.cancel_scope.cancel()
            return end

    return trio.run(main)


def test_output_and_environment_arrive(runner: Runner, spec: ContainerSpec) -> None:
    program = "import os, sys; print(os.environ['A'], file=sys.stderr, flush=True); print(sorted(os.environ))"

    assert run(runner, replace(spec, command=[program])) == Exit(0)

    first, second = spec.output.read_text().splitlines()
    assert first == "1 and = and more"
    assert "AWS_ENDPOINT_URL" in second
    assert "ECS_CONTAINER_METADATA_URI_V4" in second


@pytest.mark.parametrize("code", [0, 1, 75])
def test_the_exit_code_is_told(runner: Runner, spec: ContainerSpec, code: int) -> None:
    assert run(runner, replace(spec, command=[f"raise SystemExit({code})"])) == Exit(code)


def test_a_signal_is_told_as_a_shell_does(runner: Runner, spec: ContainerSpec) -> None:
    assert run(runner, replace(spec, command=["import os; os.kill(os.getpid(), 9)"])) == Exit(137)


@pytest.mark.parametrize(("manner", "code"), [("obey", 143), ("ignore", 137)])
def test_stop_asks_first_and_kills_then(
    runner: Runner, spec: ContainerSpec, tmp_path: Path, manner: str, code: int
) -> None:
    ready = tmp_path / "ready"

    async def stop(running: Any) -> None:
        await until(ready.exists)
        await running.stop(1)

    assert run(runner, replace(spec, command=[READY_THEN_SLEEP, str(ready), manner]), stop) == Exit(code)


def test_a_program_that_does_not_exist_cannot_start(runner: Runner, spec: ContainerSpec) -> None:
    async def main() -> None:
        with pytest.raises(StartError) as failed:
            await runner.start(replace(spec, entry_point=["/no/such/program"]), lambda _: None)
        assert failed.value.reason.startswith("CannotStartContainerError: ")

    trio.run(main)


def test_an_unknown_image_cannot_be_pulled(runner: Runner) -> None:
    async def main() -> None:
        with pytest.raises(StartError) as failed:
            await runner.pull("missing/image:1")
        assert failed.value.reason.startswith("CannotPullContainerError: ")

    trio.run(main)


def test_leftovers_are_reaped_by_what_they_carry(runner: Runner, spec: ContainerSpec, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    sleeper = replace(spec, command=[READY_THEN_SLEEP, str(ready), "ignore"])
    traces: list[dict[str, Any]] = []

    async def main() -> None:
        # Nobody waits for this container, as after a crash.
        running = await runner.start(sleeper, traces.append)
        await until(ready.exists)
        with trio.fail_after(20):
            assert await runner.reap(sleeper.task_id, traces, 1)
            assert not await runner.reap(sleeper.task_id, traces, 1)
            assert not [p for p in psutil.process_iter() if str(ready) in " ".join(_command(p))]
            await running.wait()

    trio.run(main)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def docker(tmp_path: Path) -> DockerRunner:
    return DockerRunner(base_environment(ENDPOINT, "ap-northeast-1"), fake_docker(tmp_path))


def test_docker_says_when_the_kernel_took_a_container_for_its_memory(
    docker: DockerRunner, spec: ContainerSpec
) -> None:
    greedy = replace(spec, image="team/greedy:1", command=["import os; os.kill(os.getpid(), 9)"])

    assert run(docker, greedy) == Exit(137, OUT_OF_MEMORY)


def test_docker_pulls_only_what_is_not_there(docker: DockerRunner, tmp_path: Path) -> None:
    async def main() -> None:
        await docker.pull("team/present:1")
        assert not (tmp_path / "bin" / "state" / "pulled").exists()
        await docker.pull("team/remote:1")
        assert (tmp_path / "bin" / "state" / "pulled").exists()

    trio.run(main)


def test_docker_keeps_the_variables_of_the_machine_out_of_the_image(
    docker: DockerRunner, spec: ContainerSpec
) -> None:
    os.environ.setdefault("HOME", "/root")
    run(docker, replace(spec, command=["import os; print('HOME' in os.environ)"]))

    assert spec.output.read_text() == "False\n"


def test_without_docker_a_task_says_so(spec: ContainerSpec, tmp_path: Path) -> None:
    runner = DockerRunner({}, str(tmp_path / "no-docker"))

    async def main() -> None:
        with pytest.raises(StartError, match="there is no docker command on PATH"):
            await runner.pull(spec.image)

    trio.run(main)
