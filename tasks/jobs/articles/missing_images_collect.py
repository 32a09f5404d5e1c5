"""missing-images-collect: one report of what the shards found."""

import os
from pathlib import Path

from tasks.contract import Assignment, exit_codes, variables
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.gathering import extract, scratch_work
from tasks.jobs.articles.history import History
from tasks.jobs.articles.picture_check import Watch
from tasks.jobs.articles.picture_shards import Shards
from tasks.jobs.articles.report import day_of, in_a_sentence, write_report
from tasks.jobs.articles.thumbnails import MOST, PARTLY_THERE
from tasks.jobs.program import (
    JobError,
    Parser,
    ProgressLines,
    StopRequest,
    deadline_of_environment,
    directory_option,
    run_program,
    say,
)


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    told = Assignment.read(os.environ)
    watch = Watch(request, deadline_of_environment(), told.stop_grace)
    if not options.shards:
        raise JobError(f"where are the shards? {variables.SHARDS_DIR} is not set, and there is no --shards")
    shards = Shards(Path(options.shards))
    engine = open_database(options.database)
    with scratch_work() as (_, work):
        extract(engine, work, ProgressLines(), watch)
        engine.dispose()
        if request.requested:
            return exit_codes.STOPPED
        if watch():
            raise JobError("the deadline is near; collecting begins anew", exit_codes.TRY_AGAIN)
        work.add_findings(shards.findings())
        thumbnails = shards.thumbnails({url for url, _ in work.with_verdicts(PARTLY_THERE, MOST)})
        history = History(Path(options.previous) if options.previous else None)
        output = Path(options.output or "nightlatch-output")
        summary = write_report(work, output, history, day_of(told), thumbnails)
    say(in_a_sentence(summary))
    if shards.missing:
        listed = ", ".join(map(str, shards.missing))
        unchecked = summary["pictures"] - summary["checked"]
        say(f"{unchecked} pictures were not checked: there is no result of shards {listed}")
    return exit_codes.DONE


def _parser() -> Parser:
    parser = Parser(
        prog="missing-images-collect",
        description="Write one report of what the shards of missing-images found.",
        epilog="example: missing-images-collect --shards shards --database sqlite:////srv/articles.sqlite",
    )
    parser.add_argument("--database", default="", help="default: $ARTICLES_URL, or SQLite")
    directory_option(parser, "--shards", variables.SHARDS_DIR, "what the shards left")
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where the report goes")
    directory_option(parser, "--previous", variables.PREVIOUS_DIR, "what the last run left for this one")
    return parser


if __name__ == "__main__":
    run_program(job)
