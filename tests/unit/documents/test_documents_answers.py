"""What counts as an answer, what one piece of work is called, and how many are asked at once."""

from __future__ import annotations

import asyncio
import json

import pytest

from tasks.jobs.documents.gate import Gate
from tasks.jobs.documents.linear import LinearModel, features, train
from tasks.jobs.documents.probe import Measured, best
from tasks.jobs.documents.question import Form, Question, known_question, parse_question, work_id
from tasks.jobs.documents.requests import shares
from tasks.jobs.documents.telemetry import Latencies, Telemetry, Totals
from tasks.jobs.program import JobError

TOPIC = known_question("topic", ["red", "green"])
FORM = Form(TOPIC)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ('{"label": "red"}', ""),
        ('```json\n{"label": "red"}\n```', ""),
        ('{"label": "purple"}', "label: 'purple' is not one of ['red', 'green']"),
        ('{"label": "re', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "is not of type 'object'"),
        ('{"label": "red", "more": 1}', "Additional properties"),
    ],
)
def test_an_answer_has_the_form_or_a_problem(reply: str, problem: str) -> None:
    found, said = FORM.read_one(reply)
    assert problem in said
    assert bool(said) == bool(problem)
    assert found == (None if problem else {"label": "red"})


def test_of_several_answers_each_belongs_to_its_document() -> None:
    def entry(number: object, label: str) -> dict[str, object]:
        return {"number": number, "answer": {"label": label}}

    answers = [entry(2, "red"), entry(1, "green"), entry(2, "red"), entry(3, "red"), entry(3, "green")]
    answers += [entry(True, "red"), entry(9, "red"), entry(5, "blue")]
    found = FORM.read_many(json.dumps({"answers": answers}), 5)

    assert [answer for answer, _ in found] == [{"label": "green"}, {"label": "red"}, None, None, None]
    assert [problem[:22] for _, problem in found[2:]] == [
        "it was answered twice,",
        "it was not answered",
        "label: 'blue' is not o",
    ]
    assert FORM.read_many('{"answers": 1}', 2) == [(None, 'there is no list "answers"')] * 2


def test_a_work_is_document_content_prompt_model_and_parameters() -> None:
    other = Question(TOPIC.name, TOPIC.instruction, TOPIC.schema, TOPIC.max_tokens, temperature=0.5)
    works = [
        work_id("d", "text", TOPIC, "m"),
        work_id("e", "text", TOPIC, "m"),
        work_id("d", "other", TOPIC, "m"),
        work_id("d", "text", known_question("topic", ["red"]), "m"),
        work_id("d", "text", other, "m"),
        work_id("d", "text", TOPIC, "n"),
    ]
    assert len(set(works)) == len(works)
    assert works[0] == work_id("d", "text", known_question("topic", ["red", "green"]), "m")


@pytest.mark.parametrize(
    "wrong",
    [b"{", b"{}", b'{"name": "x", "instruction": "y", "schema": {"type": "array"}}',
     b'{"name": "x", "instruction": "y", "schema": {"type": 5}}'],
)  # fmt: skip
def test_a_question_that_is_none_is_refused(wrong: bytes) -> None:
    with pytest.raises(JobError):
        parse_question(wrong, "q.json")


def test_the_parts_of_a_request_are_together_the_whole() -> None:
    assert shares(10, 5, 3) == [(4, 2), (3, 2), (3, 1)]


def test_the_gate_doubles_halves_and_pauses() -> None:
    async def main() -> None:
        now = [0.0]
        gate = Gate(100, 4, lambda: now[0])
        rounds = [await gate.enter() for _ in range(4)]
        fifth = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        assert not fifth.done()
        for _ in rounds:
            gate.went_well()
            gate.leave()
        await fifth
        assert gate.limit == 8
        gate.throttled(rounds[0], 0.0)
        gate.throttled(rounds[1], 0.0)
        assert gate.limit == 4, "those that were sent together cut once"
        gate.went_well()
        assert gate.limit == 4.25, "after that it grows by one a round"
        gate.leave()
        gate.throttled(1, 0.02)
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        assert not waiting.done()
        now[0] = 0.05
        await asyncio.wait_for(waiting, 5)

    asyncio.run(main())


def test_a_waiter_that_gives_up_takes_no_place() -> None:
    async def main() -> None:
        gate = Gate(1, 1)
        await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.leave()
        waiting.cancel()
        await asyncio.wait({waiting})
        assert gate.inside == 0
        await asyncio.wait_for(gate.enter(), 5)

    asyncio.run(main())


def test_the_classifier_is_deterministic_and_survives_being_stored() -> None:
    sample = [(f"good fine nice {n % 3}", "plus") for n in range(12)]
    sample += [(f"bad awful poor {n % 3}", "minus") for n in range(12)] + [
        ("空気が良い", "plus"),
        ("空気が悪い", "minus"),
    ] * 3
    model = train(sample)
    again = LinearModel.load(model.dump())
    texts = ["a fine day", "an awful day", "", "気が悪い"]

    assert train(sample).digest == model.digest
    assert [label for label, _ in again.predict(texts)[:2]] == ["plus", "minus"]
    assert again.predict(texts)[3][0] == "minus"
    assert features("東京都 a b") == ["東京", "京都", "a", "b", "東京 京都", "京都 a", "a b"]
    with pytest.raises(JobError, match="two are needed"):
        train([("a", "x")])
    with pytest.raises(JobError, match="cannot be read"):
        LinearModel.load(model.dump()[:100])


def test_a_larger_batch_is_chosen_only_if_it_is_faster_and_as_good() -> None:
    assert best([Measured(1, 10, 1.0, 50), Measured(4, 35, 1.0, 30), Measured(16, 90, 0.6, 25)]) == 4
    assert best([Measured(1, 10, 1.0, 50), Measured(4, 10.5, 1.0, 30)]) == 1


def test_latencies_of_shards_are_added() -> None:
    one, other = Latencies(), Latencies()
    for n in range(1, 101):
        (one if n % 2 else other).add(n / 100)
    one.merge(Latencies(json.loads(json.dumps(other.members()))))
    assert 0.5 <= one.quantile(0.5) <= 0.55
    assert 0.95 <= one.quantile(0.95) <= 1.045
    assert Latencies().quantile(0.5) == 0


def test_metrics_are_lines_that_cloudwatch_reads() -> None:
    said: list[str] = []
    totals = Totals(documents=10)
    names = {"Job": "documents", "Step": "work", "Shard": "3"}
    telemetry = Telemetry(totals, names, lambda: 100.0, write=said.append, clock=lambda: 160.0)
    telemetry.request(0.2)
    telemetry.request(0.1, failed=True, throttled=True)
    telemetry.used(30, 10, 2_000_000)
    totals.answered, totals.dead = 3, 1
    telemetry.pulse(last=True)

    (record,) = map(json.loads, said)
    (directive,) = record["_aws"]["CloudWatchMetrics"]
    assert {one["Name"] for one in directive["Metrics"]} <= record.keys()
    assert directive["Dimensions"] == [["Job", "Step"]]
    assert (record["QueueLength"], record["OldestSeconds"], record["FailureRate"]) == (6, 60.0, 25.0)
    assert (record["Dollars"], record["InputTokens"], record["Throttled"]) == (2.0, 30, 1)
    assert 200 <= record["LatencyP50"] <= 220
