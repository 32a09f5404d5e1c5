"""Runs tasks that do nothing with one peer, in the peer's own environment; prints milliseconds a task.

    python driver.py NAME GRAPH.json FOLDER

GRAPH.json is a list of projects, each an object of task -> tasks it waits for. Every task leaves one durable
mark of its own, in the peer's own way.
"""

import json
import os
import sys
import time
from pathlib import Path


def run_luigi(projects: list[dict[str, list[str]]], folder: Path) -> None:
    """A task is done when its target, a file, is there."""
    import luigi  # noqa: PLC0415  (only in its own environment)

    class Part(luigi.Task):  # type: ignore[misc]  # luigi has no types here
        project = luigi.IntParameter()
        name = luigi.Parameter()

        def requires(self) -> list["Part"]:
            return [Part(self.project, other) for other in projects[self.project][self.name]]

        def output(self) -> luigi.LocalTarget:
            return luigi.LocalTarget(str(folder / f"{self.project}-{self.name}.json"))

        def run(self) -> None:
            with self.output().open("w") as file:
                file.write("x" * 1500)

    ends = [
        Part(number, name)
        for number, project in enumerate(projects)
        for name in project
        if not any(name in after for after in project.values())
    ]
    assert luigi.build(ends, local_scheduler=True, log_level="ERROR", workers=1)


def run_redun(projects: list[dict[str, list[str]]], folder: Path) -> None:
    """Every call and its result go into redun's database."""
    from redun import Scheduler, task  # noqa: PLC0415  (only in its own environment)
    from redun.config import Config  # noqa: PLC0415  (the same)

    @task(namespace="bench", version="1")  # type: ignore[untyped-decorator]  # redun has no types here
    def part(name: str, inputs: list[str]) -> str:
        return name + "x" * 1500 if inputs is not None else ""

    uri = f"sqlite:///{folder / 'redun.db'}"
    scheduler = Scheduler(config=Config({"backend": {"db_uri": uri}, "executors.default": {"type": "local"}}))
    scheduler.load(migrate=True)
    ends = []
    for number, project in enumerate(projects):
        made: dict[str, object] = {}

        def expression(
            name: str,
            project: dict[str, list[str]] = project,
            number: int = number,
            made: dict[str, object] = made,
        ) -> object:
            if name not in made:
                inputs = [expression(other, project, number, made) for other in project[name]]
                made[name] = part(f"{number}-{name}", inputs)
            return made[name]

        ends += [expression(name) for name in project]
    scheduler.run(ends)


def main() -> None:
    name, graph, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    projects = json.loads(graph.read_text())
    os.chdir(folder)
    began = time.perf_counter()
    {"luigi": run_luigi, "redun": run_redun}[name](projects, folder)
    gone = time.perf_counter() - began
    print(json.dumps({"milliseconds": gone / sum(map(len, projects)) * 1e3}))


if __name__ == "__main__":
    main()
