"""schedule-generate: the shortest construction schedule (工程表) that crews and deadlines allow."""

import argparse
import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.contract import Assignment, exit_codes, variables
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

if TYPE_CHECKING:
    from tasks.jobs.generation.schedule.construct import Builder, Starts
    from tasks.jobs.generation.schedule.search import Search
    from tasks.jobs.generation.schedule.timetable import Timetable

# We end this much before the runtime would send SIGTERM because of the deadline.
_BEFORE_DEADLINE: Final = 2.0


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    if not options.project:
        raise JobError("which project? give --project PATH, or -p project=PATH to the run")
    # These imports take a second: the handler of SIGTERM stands by now.
    from tasks.jobs.generation.schedule.construct import Builder  # noqa: PLC0415
    from tasks.jobs.generation.schedule.explain import (  # noqa: PLC0415
        hopeless_deadline,
        nowhere,
        topological_order,
    )
    from tasks.jobs.generation.schedule.reading import digest, read_project  # noqa: PLC0415
    from tasks.jobs.generation.schedule.timetable import Timetable  # noqa: PLC0415

    project = read_project(options.project, options.start)
    table = Timetable(project, topological_order(project))
    builder = Builder(table)
    hopeless = hopeless_deadline(table, builder)
    if hopeless is not None:
        raise hopeless
    greedy = builder.greedy()
    if greedy is None:
        raise nowhere(table)
    return _search(options, request, table, builder, greedy, digest(project))


def _search(
    options: argparse.Namespace,
    request: StopRequest,
    table: "Timetable",
    builder: "Builder",
    greedy: "Starts",
    identity: str,
) -> int:
    from tasks.jobs.generation.schedule.checkpoint import SavedSchedule  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.schedule.search import Limits, Search  # noqa: PLC0415  (see job)

    saved = SavedSchedule(Path(options.checkpoint), identity) if options.checkpoint else None
    first = _first(options, table, builder, greedy, identity)
    limits = Limits(_seconds(options.seconds), options.workers, options.seed)

    def found(starts: "Starts") -> None:
        if saved is not None:
            lateness, days = builder.value(starts)
            saved.write(table, starts, lateness=lateness, days=days, bound=search.bound)

    search = Search(table, builder, first, found, limits)
    found(first)
    progress = ProgressLines()
    began = time.monotonic()

    def pulse(gone: float) -> None:
        done = min(int(gone), int(limits.seconds))
        progress.show("search", done, max(1, int(limits.seconds)), _standing(search))

    search.run(lambda: request.requested, pulse)
    gone = int(time.monotonic() - began)
    progress.show("search", gone, gone, _standing(search), last=True)
    code = _finish(options, search, table, builder.value(greedy)[1], identity, stopped=request.requested)
    if search.left_behind:
        # The interpreter would wait for the solver's threads; everything is written.
        sys.stdout.flush()
        os._exit(code)
    return code


def _first(
    options: argparse.Namespace, table: "Timetable", builder: "Builder", greedy: "Starts", identity: str
) -> "Starts":
    """The schedule to begin with: the best of the checkpoint, of the last run, and of construction."""
    from tasks.jobs.generation.schedule.checkpoint import SavedSchedule  # noqa: PLC0415  (see job)

    best = greedy
    folders = {"a former attempt": options.checkpoint, "the last run": options.previous}
    for whose, folder in folders.items():
        starts, trouble = SavedSchedule(Path(folder), identity).read(table) if folder else (None, "")
        if trouble:
            say(f"the schedule of {whose} is not used: {trouble}")
        if starts is not None and builder.value(starts) < builder.value(best):
            best = starts
            say(f"going on from {builder.value(starts)[1]} days, the schedule of {whose}")
    return best


def _finish(
    options: argparse.Namespace,
    search: "Search",
    table: "Timetable",
    greedy: int,
    identity: str,
    *,
    stopped: bool,
) -> int:
    from tasks.jobs.generation.schedule.checkpoint import SavedSchedule  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.schedule.explain import missed_deadlines  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.schedule.outputs import write_outputs  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.schedule.plan import make_plan  # noqa: PLC0415  (see job)

    starts, (lateness, days), bound = search.snapshot()
    if lateness:
        if search.late_for_certain:
            raise missed_deadlines(table, starts)
        if stopped:
            say("stopped before a schedule was found that keeps the deadlines; the best is safe")
            return exit_codes.STOPPED
        raise JobError(
            "in the time given no schedule was found that keeps the deadlines, nor was it proved impossible; "
            "another attempt goes on from here: give it more --seconds",
            exit_codes.TRY_AGAIN,
        )
    ended_by = "proof" if search.proved else "signal" if stopped else "time"
    plan = make_plan(table, starts, digest=identity, bound=bound, greedy=greedy, ended_by=ended_by)
    output = Path(options.output or "nightlatch-output")
    write_outputs(plan, output)
    SavedSchedule(output / "state", identity).write(table, starts, lateness=0, days=days, bound=bound)
    say(
        f"{plan.project.name or 'project'}: finished on {plan.finish}, {days} days of work "
        + (
            "(the shortest possible)"
            if plan.optimal
            else f"(not before {plan.bound_finish}: gap {plan.gap:.1%})"
        )
    )
    return exit_codes.DONE


def _standing(search: "Search") -> str:
    _, (lateness, days), bound = search.snapshot()
    if lateness:
        return f"{days} days, deadlines missed by {lateness} days together"
    gap = (days - bound) / days if days else 0.0
    return f"{days} days, at least {bound}, gap {gap:.1%}"


def _seconds(wanted: float) -> float:
    """The time for searching: as asked for, but never past the deadline of the attempt."""
    deadline = deadline_of_environment()
    if deadline is None:
        return wanted
    grace = Assignment.read(os.environ).stop_grace
    return max(1.0, min(wanted, deadline - grace - _BEFORE_DEADLINE - time.time()))


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 256:  # noqa: PLR2004  (more threads than any machine has)
        raise ValueError
    return value


def _parser() -> Parser:
    parser = Parser(
        prog="schedule-generate",
        description="Find the shortest construction schedule that crews, calendars and deadlines allow.",
        epilog="example: schedule-generate --project house.json --seconds 60",
    )
    parser.add_argument(
        "--project", default="", metavar="FILE", help="JSON, CSV or PSPLIB .sm: a path or s3://bucket/key"
    )
    parser.add_argument(
        "--start", type=date.fromisoformat, help="the first day, instead of the project's own"
    )
    parser.add_argument("--seconds", type=_positive, default=300.0, help="how long to search (default: 300)")
    parser.add_argument("--workers", type=_count, default=0, help="solver threads (default: one a core)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (default: 1)")
    directory_option(parser, "--checkpoint", variables.CHECKPOINT_DIR, "where the best schedule is kept safe")
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where the schedule goes")
    directory_option(parser, "--previous", variables.PREVIOUS_DIR, "what the last run left under state/")
    return parser


if __name__ == "__main__":
    run_program(job)
