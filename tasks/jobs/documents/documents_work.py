"""documents-work: answer the question of the plan for every document of one shard, each exactly once."""

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.contract import Assignment, exit_codes, variables
from tasks.jobs.program import JobError, Parser, StopRequest, directory_option, run_program, say

if TYPE_CHECKING:
    from tasks.jobs.documents.journal import Journal
    from tasks.jobs.documents.settling import Settling
    from tasks.jobs.documents.shard import ShardInput
    from tasks.jobs.documents.telemetry import Telemetry, Totals
    from tasks.jobs.documents.terms import ShardItem, Terms

# Of the stop grace, how much requests that are on the wire may still take.
_DRAIN_SHARE: Final = 0.2
_LONGEST_DRAIN: Final = 3.0
_GIVING_BACK: Final = 2.0


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    if not options.shard:
        raise JobError(f"which shard? {variables.SHARD} is not set: this step works under fan_out")
    # These imports take a second: the handler of SIGTERM stands by now.
    from tasks.jobs.documents.terms import ShardItem  # noqa: PLC0415

    try:
        item = ShardItem.of(json.loads(options.shard))
    except ValueError:
        raise JobError("the shard is not JSON") from None
    with _folders(options) as (scratch, checkpoint):
        return _work(item, scratch, checkpoint, Path(options.output or "nightlatch-output"), request)


@contextlib.contextmanager
def _folders(options: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory(prefix="documents-") as name:
        yield Path(name), Path(options.checkpoint) if options.checkpoint else Path(name, "checkpoint")


def _work(item: "ShardItem", scratch: Path, checkpoint: Path, output: Path, request: StopRequest) -> int:
    from tasks.jobs.documents import places  # noqa: PLC0415  (see job)
    from tasks.jobs.documents.journal import Journal  # noqa: PLC0415  (see job)
    from tasks.jobs.documents.settling import Settling, count_former  # noqa: PLC0415  (see job)
    from tasks.jobs.documents.shard import ShardInput  # noqa: PLC0415  (see job)
    from tasks.jobs.documents.telemetry import Telemetry, Totals  # noqa: PLC0415  (see job)

    terms = item.fetch_terms()
    places.fetch(item.folder + item.input, scratch / "input.jsonl")
    shard = ShardInput(scratch / "input.jsonl", item.sha256, terms.planned_at)
    journal = Journal(checkpoint / "journal", f"{item.sha256}:{item.terms}", len(shard))
    totals = Totals(documents=len(shard))
    for record in journal.replay():
        count_former(totals, record)
    if journal.count:
        say(f"{journal.count} of {len(shard)} documents are settled by former attempts")
    told = Assignment.read(os.environ)
    names = {
        "Job": told.job or "none",
        "Step": told.step or "none",
        "Run": told.run,
        "Shard": str(item.shard),
    }
    telemetry = Telemetry(totals, names, lambda: shard.received(journal.oldest_open))
    settled = Settling(journal, telemetry, terms.model)
    try:
        whole = _run_engine(item, terms, shard, journal, settled, telemetry, checkpoint, request)
    finally:
        journal.rotate()
        telemetry.pulse(last=True)
        shard.close()
    if not whole:
        say(f"stopped; {journal.count} of {len(shard)} documents are settled and safe")
        return exit_codes.STOPPED
    _publish(journal, output, totals, item)
    say(f"{totals.answered} documents answered, {totals.dead} dead letters")
    return exit_codes.DONE


def _run_engine(
    item: "ShardItem",
    terms: "Terms",
    shard: "ShardInput",
    journal: "Journal",
    settled: "Settling",
    telemetry: "Telemetry",
    checkpoint: Path,
    request: StopRequest,
) -> bool:
    """Whether every document is settled; False if SIGTERM came before."""
    if terms.engine == "linear":
        from tasks.jobs.documents import places  # noqa: PLC0415  (see job)
        from tasks.jobs.documents.linear import LinearModel  # noqa: PLC0415  (see job)
        from tasks.jobs.documents.linear_work import classify  # noqa: PLC0415  (see job)
        from tasks.jobs.documents.question import Form  # noqa: PLC0415  (see job)

        model = LinearModel.load(places.read(item.folder + terms.classifier))
        return classify(
            model,
            Form(terms.question),
            shard,
            journal,
            settled,
            telemetry,
            batch=terms.batch,
            stop=lambda: request.requested,
        )
    return asyncio.run(_ask(terms, shard, journal, settled, telemetry, checkpoint, request))


async def _ask(
    terms: "Terms",
    shard: "ShardInput",
    journal: "Journal",
    settled: "Settling",
    telemetry: "Telemetry",
    checkpoint: Path,
    request: StopRequest,
) -> bool:
    from tasks.jobs.documents.cells import open_cell  # noqa: PLC0415  (see job)
    from tasks.jobs.documents.dispatch import Dispatcher  # noqa: PLC0415  (see job)
    from tasks.jobs.documents.pool import Pool  # noqa: PLC0415  (see job)
    from tasks.providers.chat import SettingsError  # noqa: PLC0415  (see job)
    from tasks.providers.choosing import chat_from  # noqa: PLC0415  (see job)

    cell = open_cell(terms.budget) if terms.limits.any else None
    pool = Pool(terms.limits, cell, terms.containers)
    drain = min(_LONGEST_DRAIN, _DRAIN_SHARE * Assignment.read(os.environ).stop_grace)
    try:
        if terms.engine == "batch":
            from tasks.jobs.documents.batch_services import service_from  # noqa: PLC0415  (see job)
            from tasks.jobs.documents.batch_work import Batches  # noqa: PLC0415  (see job)

            service = service_from(os.environ, terms.budget.rsplit("/", 1)[0])
            batches = Batches(
                service,
                terms,
                shard,
                journal,
                settled,
                pool.money_only(),
                telemetry,
                checkpoint / "batches",
                stop=lambda: request.requested,
            )
            try:
                if not await batches.run():
                    return False
            finally:
                await service.close()
        # What no batch has answered, and everything where there is no batch service.
        async with chat_from(os.environ) as chat:
            if chat.name != terms.model:
                raise JobError(f"the plan was made for {terms.model}, and this container asks {chat.name}")
            dispatcher = Dispatcher(
                chat,
                terms,
                shard,
                journal,
                settled,
                pool,
                telemetry,
                stop=lambda: request.requested,
                drain_seconds=drain,
            )
            return await dispatcher.run()
    except SettingsError as error:
        raise JobError(str(error)) from None
    finally:
        with contextlib.suppress(TimeoutError, JobError):  # what is not given back counts as spent
            async with asyncio.timeout(_GIVING_BACK):
                await pool.close()


def _publish(journal: "Journal", output: Path, totals: "Totals", item: "ShardItem") -> None:
    from tasks.jobs.documents.merging import write_split  # noqa: PLC0415  (see job)

    output.mkdir(parents=True, exist_ok=True)
    write_split(journal.lines(), output)
    about = {"shard": item.shard, **totals.members()}
    (output / "shard.json").write_text(json.dumps(about) + "\n")


def _parser() -> Parser:
    parser = Parser(
        prog="documents-work",
        description="Answer the question of the plan for every document of one shard, each exactly once.",
        epilog="The shard stands in NIGHTLATCH_SHARD, the model in LLM_ENGINE, LLM_MODEL, LLM_BASE_URL.",
    )
    parser.add_argument(
        "--shard", default=os.environ.get(variables.SHARD, ""), metavar="JSON", help="one item of shards.json"
    )
    directory_option(
        parser, "--checkpoint", variables.CHECKPOINT_DIR, "where settled documents are kept safe"
    )
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where results and dead letters go")
    return parser


if __name__ == "__main__":
    run_program(job)
