"""missing-images: check every picture of every article, and report what readers do not see."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tasks.contract import Assignment, exit_codes, variables
from tasks.jobs.articles.address_guard import ALLOW_VARIABLE, AddressGuard
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.dialling import make_room
from tasks.jobs.articles.finding_files import FindingFiles
from tasks.jobs.articles.gathering import all_hosts, extract, scratch_work
from tasks.jobs.articles.history import History
from tasks.jobs.articles.host import Politeness
from tasks.jobs.articles.picture_check import Means, Watch, check_in_processes
from tasks.jobs.articles.picture_shards import Bucket, write_shard
from tasks.jobs.articles.probe import Patience
from tasks.jobs.articles.report import day_of, in_a_sentence, write_report
from tasks.jobs.articles.thumbnails import MOST, PARTLY_THERE, fetch_thumbnails
from tasks.jobs.articles.transport import OPEN_FOR_EACH, Timeouts
from tasks.jobs.articles.work import Work
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

USER_AGENT: Final = "nightlatch-missing-images/1.0 (checks that an article's pictures are there)"
_THUMBNAIL_SECONDS: Final = 20.0


def take_known(work: Work, history: History, fresh_after: float) -> None:
    """Use what earlier nights found good: as it is while it is fresh, else to ask for a change only."""
    fresh = sum(work.add_known(url, finding, fresh_after) for url, finding in history.known())
    if fresh:
        say(f"{fresh} pictures were good not long ago and are not asked for")


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    told = Assignment.read(os.environ)
    watch = Watch(request, deadline_of_environment(), told.stop_grace)
    allow = (options.allow or os.environ.get(ALLOW_VARIABLE, "")).split(",")
    guard = AddressGuard(allow)
    make_room(OPEN_FOR_EACH * options.concurrency)
    engine = open_database(options.database)
    progress = ProgressLines()
    output = Path(options.output or "nightlatch-output")
    bucket = Bucket.read(told.shard) if told.shard else None
    with scratch_work() as (scratch, work):
        checkpoint = Path(options.checkpoint) if options.checkpoint else scratch / "checkpoint"
        files = FindingFiles(checkpoint)
        extract(engine, work, progress, watch, bucket.has if bucket else all_hosts)
        engine.dispose()
        history = History(Path(options.previous) if options.previous else None)
        means = _means(options, guard)
        if not watch():
            resumed = work.note(files.batches())
            if resumed:
                say(f"going on after {resumed} pictures that a former attempt checked")
            take_known(work, history, time.time() - options.fresh_for * 3600)
            check_in_processes(work, files, checkpoint, means, options.processes, progress, watch)
        if watch():
            return _stopped(request)
        thumbnails = _thumbnails(work, means, watch)
        if bucket:
            write_shard(work, output, thumbnails)
            say(f"shard {bucket.number} of {bucket.of}: {work.counts()['checked']} pictures checked")
            return exit_codes.DONE
        summary = write_report(work, output, history, day_of(told), thumbnails)
    say(in_a_sentence(summary))
    return exit_codes.DONE


def _means(options: argparse.Namespace, guard: AddressGuard) -> Means:
    return Means(
        guard,
        Timeouts(min(options.connect_timeout, options.timeout), options.timeout),
        USER_AGENT,
        options.concurrency,
        Politeness(
            connections=options.per_host,
            cooldown=options.cooldown,
            rate=options.rate,
            special=options.hosts,
            wasted_seconds=options.host_budget,
        ),
        Patience(tries=options.tries, longest_pause=options.longest_pause),
    )


def _thumbnails(work: Work, means: Means, stop: Callable[[], bool]) -> dict[str, str]:
    partly = list(work.with_verdicts(PARTLY_THERE, MOST))
    if not partly:
        return {}
    with means.transport() as transport:
        return transport.run(fetch_thumbnails(partly, transport, _THUMBNAIL_SECONDS, stop))


def _stopped(request: StopRequest) -> int:
    if request.requested:
        say("stopped; what was checked is safe")
        return exit_codes.STOPPED
    raise JobError(
        "the deadline is near; what was checked is safe, the next attempt goes on", exit_codes.TRY_AGAIN
    )


def _parser() -> Parser:
    parser = Parser(
        prog="missing-images",
        description="Check every picture of every article and report what readers do not see.",
        epilog="example: missing-images --database sqlite:////srv/articles.sqlite --allow 127.0.0.1",
    )
    parser.add_argument("--database", default="", help="default: $ARTICLES_URL, or SQLite")
    parser.add_argument(
        "--allow",
        default="",
        metavar="HOSTS",
        help=f"private hosts and networks that may be asked, with commas (default: ${ALLOW_VARIABLE})",
    )
    parser.add_argument("--concurrency", type=_positive, default=100, help="requests at once (default: 100)")
    parser.add_argument(
        "--per-host", type=_positive, default=8, help="requests to one host at once (default: 8)"
    )
    parser.add_argument(
        "--hosts",
        type=_special,
        default={},
        metavar="HOST=N",
        help="hosts with a number of their own, with commas, such as cdn.example.com=64",
    )
    parser.add_argument(
        "--rate", type=_share, default=0.0, help="requests a second to one host (default 0: as they come)"
    )
    parser.add_argument(
        "--host-budget",
        type=_seconds,
        default=1200.0,
        help="seconds that a host's timeouts may take together (default: 1200)",
    )
    parser.add_argument(
        "--processes",
        type=_positive,
        default=min(2, os.cpu_count() or 1),
        help="processes that share the hosts (default: 2, or 1 on one core)",
    )
    parser.add_argument(
        "--fresh-for",
        type=_share,
        default=12.0,
        metavar="HOURS",
        help="a picture that was good so recently is not asked for (default: 12)",
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=20.0, help="seconds for a whole request (default: 20)"
    )
    parser.add_argument(
        "--connect-timeout", type=_seconds, default=5.0, help="seconds to connect (default: 5)"
    )
    parser.add_argument(
        "--tries", type=_positive, default=3, help="times to ask a host that is busy (default: 3)"
    )
    parser.add_argument(
        "--longest-pause", type=_seconds, default=30.0, help="longest Retry-After heeded, seconds"
    )
    parser.add_argument(
        "--cooldown", type=_seconds, default=5.0, help="seconds before a dead host is tried again"
    )
    directory_option(
        parser, "--checkpoint", variables.CHECKPOINT_DIR, "where findings are kept between attempts"
    )
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where the report goes")
    directory_option(parser, "--previous", variables.PREVIOUS_DIR, "what the last run left for this one")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number


def _special(text: str) -> dict[str, int]:
    pairs = [entry.strip().rpartition("=") for entry in text.split(",") if entry.strip()]
    if not all(host for host, _, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST=N")
    return {host.lower(): _positive(number) for host, _, number in pairs}


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return number


if __name__ == "__main__":
    run_program(job)
