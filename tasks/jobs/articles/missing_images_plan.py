"""missing-images-plan: deal the pictures of a very large site out to shards, by host."""

import argparse
import json
import os
from pathlib import Path

from tasks.contract import Assignment, exit_codes, variables
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.gathering import extract, scratch_work
from tasks.jobs.articles.picture_check import Watch
from tasks.jobs.articles.picture_shards import LIST, MOST_SHARDS, plan
from tasks.jobs.articles.report import whole_file
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
    engine = open_database(options.database)
    with scratch_work() as (_, work):
        extract(engine, work, ProgressLines(), watch)
        engine.dispose()
        if request.requested:
            return exit_codes.STOPPED
        if watch():
            raise JobError("the deadline is near; planning begins anew", exit_codes.TRY_AGAIN)
        pictures = work.hosts()
    count = sum(pictures.values())
    buckets = min(-(-count // options.pictures), options.most_shards, MOST_SHARDS)
    shards = plan(pictures, max(1, buckets))
    output = Path(options.output or "nightlatch-output")
    with whole_file(output / LIST) as file:
        file.write(_listed(shards))
    say(f"{count} pictures of {len(pictures)} hosts in {len(shards)} shards")
    return exit_codes.DONE


def _listed(shards: list[dict[str, int]]) -> str:
    return json.dumps(shards, separators=(",", ":"))


def _parser() -> Parser:
    parser = Parser(
        prog="missing-images-plan",
        description="Deal the pictures of all articles out to shards, by host.",
        epilog="example: missing-images-plan --database sqlite:////srv/articles.sqlite --most-shards 8",
    )
    parser.add_argument("--database", default="", help="default: $ARTICLES_URL, or SQLite")
    parser.add_argument(
        "--pictures", type=_positive, default=1_000_000, help="pictures in a shard, about (default: 1000000)"
    )
    parser.add_argument(
        "--most-shards",
        type=_positive,
        default=MOST_SHARDS,
        help=f"not more shards than this (default: {MOST_SHARDS}); no host is divided",
    )
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where shards.json goes")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


if __name__ == "__main__":
    run_program(job)
