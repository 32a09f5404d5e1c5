"""documents-plan: cut documents into shards, each work once, and decide how they are worked on."""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.contract import Assignment, exit_codes
from tasks.jobs.documents.options import plan_parser
from tasks.jobs.program import JobError, ProgressLines, StopRequest, run_program, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tasks.jobs.documents.linear import LinearModel
    from tasks.jobs.documents.probe import Measured
    from tasks.jobs.documents.question import Question
    from tasks.jobs.documents.reading import Fields, Found
    from tasks.jobs.documents.shard import Item
    from tasks.jobs.documents.terms import Terms

_MILLION: Final = 1_000_000.0
_PROBED: Final = 1024


class _StoppedError(Exception):
    """SIGTERM came; nothing is published, the next attempt plans from the beginning."""


def job(request: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = plan_parser().read()
    if bool(options.documents) == bool(options.redrive):
        raise JobError("which documents? give -p documents=PLACE, or -p redrive=PLACE of dead letters")
    if options.ceiling and not (options.price_input or options.price_output):
        raise JobError("a ceiling needs prices: give price-input and price-output, dollars a million tokens")
    output = Path(options.output or "nightlatch-output")
    with tempfile.TemporaryDirectory(prefix="documents-") as scratch:
        try:
            _plan(options, output, Path(scratch), request)
        except _StoppedError:
            say("stopped before the plan was made")
            return exit_codes.STOPPED
    return exit_codes.DONE


def _plan(options: argparse.Namespace, output: Path, scratch: Path, request: StopRequest) -> None:
    # These imports take a second: the handler of SIGTERM stands by now.
    from tasks.jobs.documents import places  # noqa: PLC0415
    from tasks.jobs.documents.reading import Fields, published_file, read_documents  # noqa: PLC0415
    from tasks.jobs.documents.sharding import (  # noqa: PLC0415
        ShardWriter,
        Sorting,
        read_dead_letters,
        read_known,
    )
    from tasks.jobs.documents.terms import named  # noqa: PLC0415

    if not options.labelled and not options.engine and not os.environ.get("LLM_ENGINE"):
        raise JobError("who answers? give -p labelled=PLACE to learn from, or set LLM_ENGINE and LLM_MODEL")
    fields = Fields(options.id_field, options.text_field, options.label_field, options.received_field)
    folder = _folder(output)
    classifier = _classifier(options, fields, request)
    question = _question(options, classifier)
    terms = _terms(options, question, classifier, folder)
    known = frozenset[bytes]()
    if options.known:
        place = options.known
        if place.endswith("/current.json"):
            place = published_file(place, "results.jsonl")
        known = read_known(place)
    sorting = Sorting(question, terms.model, options.longest, known)
    found: Iterable[Found]
    if options.redrive:
        place = options.redrive
        if place.endswith("/current.json"):
            place = published_file(place, "dead_letters.jsonl")
        found = read_dead_letters(place, sorting.counts)
    else:
        found = read_documents(options.documents, fields)
    if classifier is not None:
        body = classifier.dump()
        places.write_whole(scratch / "classifier", body)
        terms = replace(terms, classifier=named("classifier", body, ".bin"))
        places.store(scratch / "classifier", folder + terms.classifier)
    writer = ShardWriter(folder, scratch, options.shard_documents)
    sample: list[Item] = []
    for item in _shown(sorting.items(_heeding(found, request)), sorting.counts):
        if not item.rejected and len(sample) < _PROBED:
            sample.append(item)
        writer.add(item)
    if not sorting.counts["delivered"] and not options.redrive:
        raise JobError(f"there are no documents at {options.documents}")
    terms, probed = _probed(options, terms, classifier, sample, sorting.counts["planned"])
    body = terms.dump()
    name = named("terms", body, ".json")
    places.write_whole(scratch / "terms", body)
    places.store(scratch / "terms", folder + name)
    shards = writer.finish(name)
    told = {
        **sorting.counts,
        "shards": len(shards),
        "engine": terms.engine,
        "model": terms.model,
        "question": question.name,
        "batch": terms.batch,
        "probe": [one.members() for one in probed],
    }
    places.write_whole(output / "plan.json", (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode())
    places.write_whole(output / "shards.json", json.dumps(shards, ensure_ascii=False).encode())
    say(json.dumps({"event": "planned", **told}, ensure_ascii=False))


def _folder(output: Path) -> str:
    """Where shards find their documents: beside the run's list of shards, or in the output directory."""
    listed = Assignment.read(os.environ).shard_list
    if listed:
        return listed.removesuffix(".json") + "/"
    return f"{output.resolve()}/inputs/"


def _heeding(found: "Iterable[Found]", request: StopRequest) -> "Iterator[Found]":
    for one in found:
        if request.requested:
            raise _StoppedError
        yield one


def _shown(items: "Iterable[Item]", counts: dict[str, int]) -> "Iterator[Item]":
    progress = ProgressLines()
    for item in items:
        progress.show("plan", counts["delivered"])
        yield item
    progress.show("plan", counts["delivered"], counts["delivered"], last=True)


def _classifier(options: argparse.Namespace, fields: "Fields", request: StopRequest) -> "LinearModel | None":
    """The classifier, trained from the labelled sample; None if another engine answers."""
    if options.engine not in {"", "linear"} or not (options.labelled or options.engine == "linear"):
        return None
    if not options.labelled:
        raise JobError("the engine linear learns from examples: give -p labelled=PLACE")
    from tasks.jobs.documents.linear import train  # noqa: PLC0415  (see _plan)
    from tasks.jobs.documents.reading import Document, read_documents  # noqa: PLC0415  (see _plan)

    found = _heeding(read_documents(options.labelled, fields), request)
    sample = [(one.text, one.label) for one in found if isinstance(one, Document) and one.label]
    say(f"learning from {len(sample)} labelled documents")

    def heed() -> None:
        if request.requested:
            raise _StoppedError

    return train(sample, heed)


def _question(options: argparse.Namespace, classifier: "LinearModel | None") -> "Question":
    from tasks.jobs.documents import places  # noqa: PLC0415  (see _plan)
    from tasks.jobs.documents.question import KNOWN, known_question, parse_question  # noqa: PLC0415

    if options.question and options.question not in KNOWN and "." in options.question:
        return parse_question(places.read(options.question), options.question)
    labels = [label.strip() for label in options.labels.split(",") if label.strip()]
    if classifier is not None:
        labels = classifier.labels
    return known_question(options.question or "topic", labels)


def _terms(
    options: argparse.Namespace, question: "Question", classifier: "LinearModel | None", folder: str
) -> "Terms":
    from tasks.jobs.documents.allowance import Limits  # noqa: PLC0415  (see _plan)
    from tasks.jobs.documents.pool import Prices  # noqa: PLC0415  (see _plan)
    from tasks.jobs.documents.terms import Terms  # noqa: PLC0415  (see _plan)

    if classifier is not None:
        engine, model = "linear", f"linear/{classifier.digest[:16]}"
    else:
        engine, model = options.engine or "chat", asyncio.run(_name_of_chat())
    return Terms(
        question=question,
        engine=engine,
        model=model,
        planned_at=time.time(),
        containers=options.containers,
        concurrency=options.concurrency,
        first=options.first,
        seconds=options.seconds,
        tries=options.tries,
        outage_seconds=options.outage_seconds,
        poll_seconds=options.poll_seconds,
        budget=folder + "budget.json",
        limits=Limits(options.rpm, options.tpm, options.ceiling * _MILLION),
        prices=Prices(options.price_input, options.price_output),
    )


async def _name_of_chat() -> str:
    from tasks.providers.chat import SettingsError  # noqa: PLC0415  (see _plan)
    from tasks.providers.choosing import chat_from  # noqa: PLC0415  (see _plan)

    try:
        async with chat_from(os.environ) as chat:
            return chat.name
    except SettingsError as error:
        raise JobError(str(error)) from None


def _probed(
    options: argparse.Namespace,
    terms: "Terms",
    classifier: "LinearModel | None",
    sample: "Sequence[Item]",
    planned: int,
) -> "tuple[Terms, list[Measured]]":
    """The terms with the size of a batch: as told, or measured where it is worth it."""
    from tasks.jobs.documents.probe import WORTH, best, probe_linear  # noqa: PLC0415  (see _plan)

    if options.batch:
        return replace(terms, batch=options.batch), []
    if terms.engine == "batch" or planned < WORTH:
        return replace(terms, batch=256 if classifier is not None else 1), []
    if classifier is not None:
        measured = probe_linear(classifier, [item.text for item in sample])
    else:
        measured = asyncio.run(_probe_chat(terms, list(itertools.islice(sample, 64))))
    return replace(terms, batch=best(measured)), measured


async def _probe_chat(terms: "Terms", sample: "Sequence[Item]") -> "list[Measured]":
    from tasks.jobs.documents.cells import open_cell  # noqa: PLC0415  (see _plan)
    from tasks.jobs.documents.pool import Pool  # noqa: PLC0415  (see _plan)
    from tasks.jobs.documents.probe import probe_chat  # noqa: PLC0415  (see _plan)
    from tasks.providers.choosing import chat_from  # noqa: PLC0415  (see _plan)

    pool = Pool(terms.limits, open_cell(terms.budget) if terms.limits.any else None, terms.containers)
    async with chat_from(os.environ) as chat:
        measured = await probe_chat(chat, terms, sample, pool)
    with contextlib.suppress(JobError):  # what is not given back counts as spent
        await pool.close()
    return measured


if __name__ == "__main__":
    run_program(job)
