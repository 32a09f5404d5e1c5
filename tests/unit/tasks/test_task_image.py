"""The Dockerfile, as far as it can be checked without Docker."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LINES = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text()).splitlines()


def instructions(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in LINES if line.startswith(name + " ")]


def test_the_entry_point_gets_sigterm_itself() -> None:
    [entry_point] = instructions("ENTRYPOINT")

    assert json.loads(entry_point) == ["python", "-m", "tasks", "run"]
    assert instructions("CMD") == []


def test_the_image_does_not_run_as_root() -> None:
    [user] = instructions("USER")

    assert int(user.partition(":")[0]) >= 1000


def test_everything_copied_is_there_and_reaches_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [
        source
        for copy in instructions("COPY")
        if not copy.startswith("--from")
        for source in copy.split()[:-1]
    ]

    assert set(sources) == let_in
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_dependencies_are_the_locked_ones_without_those_of_developers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    syncs = [run for run in instructions("RUN") if run.startswith("uv sync")]

    assert len(syncs) == 2
    for sync in syncs:
        assert "--frozen" in sync
        assert "--no-default-groups" in sync
        extras = re.findall(r"--extra (\S+)", sync)
        assert extras
        assert set(extras) <= project["project"]["optional-dependencies"].keys()
