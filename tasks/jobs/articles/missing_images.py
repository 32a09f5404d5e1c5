"""missing-images: check every picture of every article, and report what readers do not see."""

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from tasks.contract import Assignment, exit_codes, variables
from tasks.jobs.articles.address_guard import ALLOW_VARIABLE, AddressGuard
from tasks.jobs.articles.checking import Checker
from tasks.jobs.articles.database import Article, count_articles, open_database, stream_articles
from tasks.jobs.articles.extraction import Reference, find_pictures
from tasks.jobs.articles.host import Politeness
from tasks.jobs.articles.probe import Patience
from tasks.jobs.articles.report import History, write_report
from tasks.jobs.articles.transport import Timeouts, Transport
from tasks.jobs.articles.urls import Address, resolve
from tasks.jobs.articles.work import FindingFiles, Work
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
# Findings are made safe when there are so many, or after so many seconds, whichever is first.
_BATCH: Final = 500
_BATCH_SECONDS: Final = 1.0
# The deadline is the state machine's; we end this much before it, with the findings safe, to be continued.
_BEFORE_DEADLINE: Final = 2.0


def extract(
    engine: Engine, work: Work, progress: ProgressLines, stop: Callable[[], bool], sql: str = ""
) -> None:
    """Read every article and note its pictures."""
    total = count_articles(engine, sql)
    for done, article in enumerate(stream_articles(engine, sql), start=1):
        if stop():
            return
        work.add_article(article, _pictures(article))
        progress.show("extract", done, total)
    counts = work.counts()
    message = f"{counts['pictures']} pictures in {counts['references']} mentions"
    progress.show("extract", counts["articles"], counts["articles"], message, last=True)


def _pictures(article: Article) -> Iterator[tuple[Address, Reference]]:
    base, references = find_pictures(article.html, article.url)
    for reference in references:
        address = resolve(reference.written, base)
        if address is not None:
            yield address, reference


class Watch:
    """Whether to stop: because of SIGTERM, or because the deadline is near."""

    def __init__(self, request: StopRequest, deadline: float | None, grace: float) -> None:
        self._request = request
        self._ends_at = None if deadline is None else deadline - grace - _BEFORE_DEADLINE

    def __call__(self) -> bool:
        """Whether to stop now."""
        return self._request.requested or self.deadline_is_near()

    def deadline_is_near(self) -> bool:
        """Whether there is just time enough to put things away."""
        return self._ends_at is not None and time.time() >= self._ends_at


def check(work: Work, files: FindingFiles, checker: Checker, progress: ProgressLines) -> None:
    """Check what is left, making the findings safe in batches."""
    counts = work.counts()
    done, total = counts["checked"], counts["pictures"]
    written = time.monotonic()
    progress.show("check", done, total)
    try:
        for url, finding in checker.findings():
            work.add_finding(url, finding.members())
            done += 1
            if files.add(url, finding) >= _BATCH or time.monotonic() - written >= _BATCH_SECONDS:
                files.write()
                written = time.monotonic()
            progress.show("check", done, total)
    finally:
        files.write()
    progress.show("check", done, total, last=True)


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    told = Assignment.read(os.environ)
    watch = Watch(request, deadline_of_environment(), told.stop_grace)
    allow = (options.allow or os.environ.get(ALLOW_VARIABLE, "")).split(",")
    guard = AddressGuard(allow)
    engine = open_database(options.database)
    progress = ProgressLines()
    output = Path(options.output or "nightlatch-output")
    with _work_directory() as scratch:
        checkpoint = Path(options.checkpoint) if options.checkpoint else Path(scratch, "checkpoint")
        files = FindingFiles(checkpoint)
        work = Work(Path(scratch, "work.sqlite"))
        extract(engine, work, progress, watch)
        engine.dispose()
        if not watch():
            resumed = sum(work.add_finding(url, finding) for url, finding in files.read())
            if resumed:
                say(f"going on after {resumed} pictures that a former attempt checked")
            _check_all(options, work, files, guard, progress, watch)
        if watch():
            return _stopped(request)
        history = History.read(Path(options.previous) if options.previous else None)
        summary = write_report(work, output, history, _today(told))
        work.close()
    say(
        f"{summary['pictures']} pictures of {summary['articles']} articles: {summary['bad']} bad, "
        f"{summary['new']} of them new, {summary['mended']} mended; "
        + ", ".join(f"{verdict} {count}" for verdict, count in summary["verdicts"].items())
    )
    return exit_codes.DONE


@contextmanager
def _work_directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="missing-images-", ignore_cleanup_errors=True) as scratch:
        try:
            yield scratch
        except sqlite3.OperationalError as error:
            raise JobError(f"cannot write to {scratch}: {error}", exit_codes.CANNOT_WRITE) from None


def _check_all(
    options: argparse.Namespace,
    work: Work,
    files: FindingFiles,
    guard: AddressGuard,
    progress: ProgressLines,
    watch: Watch,
) -> None:
    politeness = Politeness(connections=options.per_host, cooldown=options.cooldown)
    patience = Patience(tries=options.tries, longest_pause=options.longest_pause)
    timeouts = Timeouts(min(options.connect_timeout, options.timeout), options.timeout)
    with Transport(guard, timeouts, USER_AGENT, options.concurrency) as transport:
        checker = Checker(
            work,
            transport,
            most=options.concurrency,
            politeness=politeness,
            patience=patience,
            stop=watch,
        )
        check(work, files, checker, progress)


def _stopped(request: StopRequest) -> int:
    if request.requested:
        say("stopped; what was checked is safe")
        return exit_codes.STOPPED
    raise JobError(
        "the deadline is near; what was checked is safe, the next attempt goes on", exit_codes.TRY_AGAIN
    )


def _today(told: Assignment) -> str:
    """The day of the report: that of the scheduled time, so that a retry after midnight changes nothing."""
    return (told.scheduled_time or datetime.now(UTC).isoformat())[:10]


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


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return number


if __name__ == "__main__":
    run_program(job)
