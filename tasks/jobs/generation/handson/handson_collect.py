"""handson-collect: the guides of all shards in one place, with the page that leads to them."""

import json
import shutil
from pathlib import Path
from typing import Any

from tasks.contract import exit_codes, variables
from tasks.jobs.program import (
    JobError,
    Parser,
    ProgressLines,
    StopRequest,
    directory_option,
    run_program,
    say,
)


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    if not options.shards:
        raise JobError(f"which shards? {variables.SHARDS_DIR} is not set: this step comes after a fan_out")
    from tasks.jobs.generation.handson.outputs import write_list  # noqa: PLC0415  (slow)

    folder, output = Path(options.shards), Path(options.output or "nightlatch-output")
    try:
        listed = json.loads((folder / "shards.json").read_bytes())
    except (OSError, ValueError) as error:
        raise JobError(f"cannot read {folder / 'shards.json'}: {error}") from None
    guides: list[dict[str, Any]] = []
    progress = ProgressLines()
    for number, entry in enumerate(listed):
        progress.show("collect", number, len(listed))
        if request.requested:
            return exit_codes.STOPPED
        guides.append(_one(folder, entry, output))
    write_list(guides, output)
    progress.show("collect", len(listed), len(listed), last=True)
    whole = sum(guide["status"] == "complete" for guide in guides)
    say(f"{len(guides)} guides: {whole} complete")
    return exit_codes.DONE


def _one(folder: Path, entry: dict[str, Any], output: Path) -> dict[str, Any]:
    """Take over one guide; one whose shard failed is listed as missing."""
    name = entry["shard"]["id"]
    if not entry["published"]:
        return {"id": name, "title": name, "status": "missing", "tasks": {}}
    home = folder / str(entry["index"])
    shutil.copytree(home / name, output / name, dirs_exist_ok=True)
    [guide] = json.loads((home / "handson.json").read_bytes())["projects"]
    found: dict[str, Any] = guide
    return found


def _parser() -> Parser:
    parser = Parser(prog="handson-collect", description="Put the guides of all shards in one place.")
    directory_option(parser, "--shards", variables.SHARDS_DIR, "one folder for each shard, and shards.json")
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where the guides go")
    return parser


if __name__ == "__main__":
    run_program(job)
