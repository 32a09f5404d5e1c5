"""documents-collect: results and dead letters of all shards in one place, and what the run came to."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tasks.contract import Assignment, exit_codes, variables
from tasks.jobs.program import (
    JobError,
    Parser,
    ProgressLines,
    StopRequest,
    directory_option,
    run_program,
    say,
)

if TYPE_CHECKING:
    from tasks.jobs.documents.summary import Summary


class _StoppedError(Exception):
    """SIGTERM came; nothing is published, the next attempt collects from the beginning."""


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    if not options.shards:
        raise JobError(f"which shards? {variables.SHARDS_DIR} is not set: this step comes after a fan_out")
    output = Path(options.output or "nightlatch-output")
    try:
        _collect(Path(options.shards), output, request)
    except _StoppedError:
        # What is half collected must not be taken for a result by whoever works by hand.
        for name in ("results.jsonl", "dead_letters.jsonl"):
            (output / name).unlink(missing_ok=True)
        return exit_codes.STOPPED
    return exit_codes.DONE


def _collect(folder: Path, output: Path, request: StopRequest) -> None:
    # These imports take a moment: the handler of SIGTERM stands by now.
    from tasks.jobs.documents.merging import DEAD_LETTERS, RESULTS  # noqa: PLC0415
    from tasks.jobs.documents.summary import Summary  # noqa: PLC0415
    from tasks.jobs.documents.summary_page import page  # noqa: PLC0415

    try:
        listed = json.loads((folder / "shards.json").read_bytes())
    except (OSError, ValueError) as error:
        raise JobError(f"cannot read {folder / 'shards.json'}: {error}") from None
    output.mkdir(parents=True, exist_ok=True)
    summary, progress = Summary(), ProgressLines()
    with (output / RESULTS).open("wb") as results, (output / DEAD_LETTERS).open("wb") as dead:
        for number, entry in enumerate(listed):
            progress.show("collect", number, len(listed))
            if request.requested:
                raise _StoppedError
            _one(folder, entry, summary, results, dead)
    progress.show("collect", len(listed), len(listed), last=True)
    told = summary.members()
    (output / "summary.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    assignment = Assignment.read(os.environ)
    title = f"Documents: {assignment.run or assignment.job or 'a run by hand'}"
    (output / "summary.html").write_text(page(told, title), encoding="utf-8")
    say(summary.line())


def _one(
    folder: Path, entry: dict[str, Any], summary: "Summary", results: IO[bytes], dead: IO[bytes]
) -> None:
    """Add one shard; the documents of one that failed become dead letters."""
    from tasks.jobs.documents.merging import DEAD_LETTERS, RESULTS  # noqa: PLC0415  (see _collect)
    from tasks.jobs.documents.terms import ShardItem  # noqa: PLC0415  (see _collect)

    item = ShardItem.of(entry["shard"])
    summary.shards += 1
    summary.documents += item.documents
    before = summary.answered + summary.dead
    if entry["published"]:
        place = folder / str(entry["index"])
        summary.shard(json.loads((place / "shard.json").read_bytes()))
        for record in _appended(place / RESULTS, results):
            summary.result(record)
        for record in _appended(place / DEAD_LETTERS, dead):
            summary.dead_letter(record)
    else:
        summary.shards_failed += 1
        for record in _lost(item.folder + item.input):
            dead.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            summary.dead_letter(record)
    settled = summary.answered + summary.dead - before
    if settled != item.documents:
        raise JobError(
            f"shard {item.shard} has {item.documents} documents, and {settled} of them are settled",
            exit_codes.BUG,
        )


def _appended(path: Path, target: IO[bytes]) -> Iterator[dict[str, Any]]:
    """The lines of a file, which is appended to `target`."""
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)
        file.seek(0)
        shutil.copyfileobj(file, target)


def _lost(location: str) -> Iterator[dict[str, Any]]:
    from tasks.jobs.documents import places  # noqa: PLC0415  (see _collect)
    from tasks.jobs.documents.settling import SHARD_FAILED  # noqa: PLC0415  (see _collect)

    with places.opened(location) as file:
        for line in file:
            told = json.loads(line)
            reason, detail = told.pop("rejected", SHARD_FAILED), told.pop("detail", "")
            yield {"received": 0.0, **told, "reason": reason, "detail": detail}


def _parser() -> Parser:
    parser = Parser(
        prog="documents-collect",
        description="Put results and dead letters of all shards in one place, and sum up.",
    )
    directory_option(parser, "--shards", variables.SHARDS_DIR, "one folder for each shard, and shards.json")
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where the files go")
    return parser


if __name__ == "__main__":
    run_program(job)
