"""handson-generate: hands-on guides, each made of tasks that wait for each other."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.contract import Assignment, Progress, exit_codes, variables
from tasks.jobs.program import (
    JobError,
    Parser,
    StopRequest,
    directory_option,
    run_program,
    say,
)

if TYPE_CHECKING:
    from tasks.jobs.generation.handson.finished import Record
    from tasks.jobs.generation.handson.graph import Graph
    from tasks.jobs.generation.handson.running import Lane, Running

_PROGRESS_PERIOD: Final = 1.0
_PHASE: Final = "generate"
_MOST: Final = 10_000
_LARGEST: Final = 1e12


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    shard = Assignment.read(os.environ).shard
    if not (options.project or shard):
        raise JobError("which project? give --project PATH, or -p project=PATH to the run")
    # These imports take a second: the handler of SIGTERM stands by now.
    from tasks.jobs.generation.handson.graph import graph_of  # noqa: PLC0415
    from tasks.jobs.generation.handson.reading import read_projects  # noqa: PLC0415

    if shard:
        # One guide of those that handson-plan listed.
        item = json.loads(shard)
        projects = [one for one in read_projects(item["project"]) if one.id == item["id"]]
        if not projects:
            raise JobError(f"there is no project {item['id']} in {item['project']} any more")
    else:
        projects = read_projects(options.project)
    graphs = [graph_of(project) for project in projects]
    return asyncio.run(_generate(options, request, graphs))


async def _generate(options: argparse.Namespace, request: StopRequest, graphs: Sequence["Graph"]) -> int:
    from tasks.jobs.generation.handson.finished import Finished  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.handson.keys import keys_of  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.handson.running import Running  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.handson.writing import Writing  # noqa: PLC0415  (see job)
    from tasks.providers.budget import Budget  # noqa: PLC0415  (see job)
    from tasks.providers.chat import SettingsError  # noqa: PLC0415  (see job)
    from tasks.providers.choosing import chat_from, search_from  # noqa: PLC0415  (see job)
    from tasks.providers.repeating import Patience  # noqa: PLC0415  (see job)

    settings = {**os.environ, **_settings(options)}
    async with contextlib.AsyncExitStack() as stack:
        try:
            chat = await stack.enter_async_context(chat_from(settings))
            search = await stack.enter_async_context(search_from(settings))
        except SettingsError as error:
            raise JobError(str(error)) from None
        keys = {graph.project.id: keys_of(graph, chat.name) for graph in graphs}
        finished = Finished(Path(options.checkpoint)) if options.checkpoint else None
        patience = Patience(tries=options.tries, first_seconds=options.first_wait_seconds)
        budget = Budget(options.tokens_per_minute, options.requests_per_minute)
        writing = Writing(
            chat, search, keys=keys, finished=finished, budget=budget, patience=patience, tell=_tell
        )
        kept = _kept(options, graphs, keys)
        running = Running(
            graphs,
            writing.write,
            writing.keep,
            parallel=options.parallel,
            finished=kept,
            on_change=_say_end,
        )
        _stop_on_signals(running, request)
        shown = asyncio.create_task(_show(running, options.parallel))
        try:
            await running.run()
        finally:
            shown.cancel()
            if finished is not None:
                await finished.settled()
    _show_once(running, options.parallel, last=True)
    return _finish(options, running)


def _finish(options: argparse.Namespace, running: "Running") -> int:
    from tasks.jobs.generation.handson.outputs import write_outputs  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.handson.running import State  # noqa: PLC0415  (see job)

    standings = [standing for lane in running.lanes for standing in lane.standings.values()]
    done = sum(standing.state is State.SUCCEEDED for standing in standings)
    if running.stopped and any(standing.state is State.PENDING for standing in standings):
        say(
            f"stopped: {done} of {len(standings)} tasks are finished and kept; another attempt makes the rest"
        )
        return exit_codes.STOPPED
    missing = len(standings) - done
    failed = [standing for standing in standings if standing.state is State.FAILED]
    if missing * 100 > options.tolerated_failure_percentage * len(standings):
        share = f"{missing} of {len(standings)} tasks are missing ({len(failed)} failed)"
        reasons = "; ".join(dict.fromkeys(standing.reason for standing in failed[:5]))
        temporary = any(standing.temporary for standing in failed)
        raise JobError(
            f"{share}, and {options.tolerated_failure_percentage:g} % are tolerated: {reasons}; "
            "what is finished is kept",
            exit_codes.TRY_AGAIN if temporary else exit_codes.WRONG_INPUT,
        )
    write_outputs(running.lanes, Path(options.output or "nightlatch-output"))
    for lane in running.lanes:
        count = lane.count(State.SUCCEEDED)
        say(f"{lane.graph.project.id}: {count} of {len(lane.standings)} tasks written")
    return exit_codes.DONE


def _kept(
    options: argparse.Namespace, graphs: Sequence["Graph"], keys: dict[str, dict[str, str]]
) -> dict[str, dict[str, "Record"]]:
    """What former attempts and the last run finished, of these very tasks; with all that it builds on."""
    from tasks.jobs.generation.handson.finished import read_finished  # noqa: PLC0415  (see job)

    records: dict[str, Record] = {}
    for folder in (options.previous, options.checkpoint):
        if folder:
            records |= read_finished(Path(folder))
    kept: dict[str, dict[str, Record]] = {}
    for graph in graphs:
        name = graph.project.id
        mine = kept.setdefault(name, {})
        for task in graph.order:
            record = records.get(keys[name][task])
            if record is not None and all(other in mine for other in graph.tasks[task].after):
                mine[task] = record
        if mine:
            say(f"{name}: {len(mine)} of {len(graph.order)} tasks were finished before")
    return kept


def _stop_on_signals(running: "Running", request: StopRequest) -> None:
    """From here on SIGTERM wakes the event loop; one that came before counts as well."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.stop)
    if request.requested:
        running.stop()


async def _show(running: "Running", parallel: int) -> None:
    while True:
        _show_once(running, parallel)
        await asyncio.sleep(_PROGRESS_PERIOD)


def _show_once(running: "Running", parallel: int, *, last: bool = False) -> None:
    from tasks.jobs.generation.handson.remaining import (  # noqa: PLC0415  (see job)
        done_and_all,
        line_of,
        seconds_left,
    )

    left = seconds_left(running.lanes, parallel, time.monotonic())
    done, everything = done_and_all(running.lanes)
    known = [seconds for seconds in left if seconds is not None]
    longest = max(known, default=0.0)
    # Progress knows a rate, not a time: the one that ends with the last project.
    rate = (everything - done) / longest if longest and not last else None
    say(Progress(done, everything, _PHASE, line_of(running.lanes, left), rate).line())


def _say_end(lane: "Lane", name: str) -> None:
    from tasks.jobs.generation.handson.remaining import duration  # noqa: PLC0415  (see job)
    from tasks.jobs.generation.handson.running import State  # noqa: PLC0415  (see job)

    standing = lane.standings[name]
    where = f"{lane.graph.project.id}/{name}"
    if standing.state is State.SUCCEEDED:
        say(f"{where}: written in {duration(standing.seconds)}")
    elif standing.state is State.FAILED:
        skipped = sum(other.because == name for other in lane.standings.values())
        say(f"{where}: failed: {standing.reason}; {skipped} tasks that build on it are skipped")


def _tell(project: str, task: str, what: str) -> None:
    say(f"{project}/{task}: {what}")


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """The options that choose engines, where given: they win over the environment."""
    chosen = {
        "LLM_ENGINE": options.engine,
        "LLM_MODEL": options.model,
        "SEARCH_ENGINE": options.search,
        "SEARCH_CORPUS": options.corpus,
    }
    return {name: value for name, value in chosen.items() if value}


def _count(text: str) -> int:
    return int(_number(text if text.isdigit() else "", 1, _MOST))


def _limit(text: str) -> float:
    return _number(text, 0, _LARGEST)


def _percentage(text: str) -> float:
    return _number(text, 0, 100)


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must be a number from {least:g} to {most:g}")
    return value


def _parser() -> Parser:
    parser = Parser(
        prog="handson-generate",
        description="Write hands-on guides, each made of tasks that wait for each other.",
        epilog="example: handson-generate --project guide.yaml --corpus docs",
    )
    parser.add_argument(
        "--project", default="", metavar="FILES", help="YAML or JSON: paths or s3://bucket/key, with commas"
    )
    parser.add_argument(
        "--corpus", default="", metavar="DIR", help="texts to search (default: $SEARCH_CORPUS)"
    )
    parser.add_argument("--search", default="", metavar="ENGINE", help="corpus or searxng ($SEARCH_ENGINE)")
    parser.add_argument(
        "--engine", default="", metavar="ENGINE", help="offline, openai or bedrock ($LLM_ENGINE)"
    )
    parser.add_argument("--model", default="", metavar="NAME", help="which model to ask ($LLM_MODEL)")
    parser.add_argument("--parallel", type=_count, default=5, help="tasks at once (default: 5)")
    parser.add_argument("--tries", type=_count, default=6, help="of one request (default: 6)")
    parser.add_argument(
        "--first-wait-seconds", type=_limit, default=2.0, help="before the second try, then twice as long"
    )
    parser.add_argument("--tokens-per-minute", type=_limit, default=0.0, help="of the model (0: no limit)")
    parser.add_argument("--requests-per-minute", type=_limit, default=0.0, help="of the model (0: no limit)")
    parser.add_argument(
        "--tolerated-failure-percentage",
        type=_percentage,
        default=25.0,
        help="of tasks that may be missing in what is published (default: 25)",
    )
    directory_option(parser, "--checkpoint", variables.CHECKPOINT_DIR, "where finished tasks are kept safe")
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where the guides go")
    directory_option(parser, "--previous", variables.PREVIOUS_DIR, "what the last run left under state/")
    return parser


if __name__ == "__main__":
    run_program(job)
