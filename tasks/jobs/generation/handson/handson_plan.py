"""handson-plan: one shard for each guide, so that each is written by a container of its own."""

import json
from pathlib import Path

from tasks.contract import variables
from tasks.jobs.program import JobError, Parser, StopRequest, directory_option, run_program, say


def job(request: StopRequest) -> int:  # noqa: ARG001  (it takes a moment: SIGTERM ends it by itself)
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    if not options.project:
        raise JobError("which project? give --project PATH, or -p project=PATH to the run")
    from tasks.jobs.generation.handson.reading import locations_of, read_projects  # noqa: PLC0415  (slow)

    # Everything that is wrong is said here, before any container starts for it.
    everything = read_projects(options.project)
    shards = [
        {"project": location, "id": project.id}
        for location in locations_of(options.project)
        for project in read_projects(location)
    ]
    if len(shards) != len(everything):
        raise JobError("the projects changed while they were read; start the run again")
    folder = Path(options.output or "nightlatch-output")
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / "shards.json.tmp"
    beside.write_text(json.dumps(shards, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    beside.replace(folder / "shards.json")
    say(f"{len(shards)} guides, {sum(len(project.tasks) for project in everything)} tasks")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="handson-plan", description="Make a shard of each guide.")
    parser.add_argument(
        "--project", default="", metavar="FILES", help="YAML or JSON: paths or s3://bucket/key, with commas"
    )
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where shards.json goes")
    return parser


if __name__ == "__main__":
    run_program(job)
