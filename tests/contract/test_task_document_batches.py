"""documents-work over providers' batch services: a real HTTP server for each; killed and stopped."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tasks.contract import exit_codes, variables
from tests.support.batch_endpoint import BatchEndpoint, batch_endpoint
from tests.support.documents import DocumentsRun
from tests.support.lock_row import create_bucket
from tests.support.moto_server import moto_server
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

ODD = {
    "BAD-ONCE": "",
    "BAD-ALWAYS": "invalid_output",
    "REFUSE": "refused",
    "ALWAYS-400": "bad_request",
    "EXPIRES": "",
}


def documents(count: int) -> list[dict[str, str]]:
    odd = [{"id": word, "text": f"{word} please"} for word in ODD]
    return odd + [{"id": f"d{n}", "text": f"document {n}"} for n in range(count)]


def check(run: DocumentsRun, delivered: list[dict[str, str]]) -> None:
    run.collect()
    run.settled_once(one["id"] for one in delivered)
    assert {one["id"]: one["reason"] for one in run.dead()} == {word: why for word, why in ODD.items() if why}


def handed_over(endpoint: BatchEndpoint, polls: int) -> bool:
    return endpoint.polls >= polls and bool(endpoint.batches)


def test_openai_batches_killed_stopped_and_collected_once(tmp_path: Path) -> None:
    delivered = documents(60)
    with batch_endpoint() as service:
        run = DocumentsRun(tmp_path, service.url + "/v1")
        service.refusing = 1  # the first upload fails for a moment
        options = ["--engine", "batch", "--poll-seconds", "0.1"]
        run.plan("--documents", str(run.write("in.jsonl", delivered)), *options)
        polls = 0
        for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, exit_codes.STOPPED)):
            process = run.start_work()
            until(lambda polls=polls: handed_over(service, polls + 2))  # type: ignore[misc]
            polls = service.polls
            process.send_signal(number)
            process.communicate(timeout=30)
            assert process.returncode == code
        service.gate.set()
        said = run.work()

    assert len(service.batches) == 1, "a container that comes later polls, and hands nothing over again"
    assert "handed over" not in said
    # One by one was asked only what the batch left over.
    assert all(service.chat.asked[f"document {n}"] == 1 for n in range(60))
    check(run, delivered)


def test_an_openai_batch_whose_reply_was_lost_is_found_again(tmp_path: Path) -> None:
    delivered = documents(10)
    with batch_endpoint() as service:
        run = DocumentsRun(tmp_path, service.url + "/v1")
        options = ["--engine", "batch", "--poll-seconds", "0.1"]
        run.plan("--documents", str(run.write("in.jsonl", delivered)), *options)
        process = run.start_work()
        until(lambda: handed_over(service, 1))
        process.kill()
        process.communicate()
        # As if the kill had come before the id was written down.
        state = tmp_path / "checkpoints" / "0" / "batches" / "batches.json"
        (name,) = service.batches
        state.write_text(state.read_text().replace(name, ""))
        service.gate.set()
        run.work()

    assert len(service.batches) == 1
    check(run, delivered)


def test_bedrock_batches_over_s3(tmp_path: Path) -> None:
    delivered = documents(120)
    with moto_server() as aws:
        create_bucket(aws.client("s3"), "artifacts")
        with batch_endpoint(aws.client("s3")) as service:
            run = DocumentsRun(tmp_path)
            run.chat = {
                **_only(aws.environment()),
                "LLM_ENGINE": "bedrock",
                "LLM_MODEL": "some.model-v1:0",
                "LLM_BASE_URL": service.url,
                "LLM_BATCH_ROLE": "arn:aws:iam::123456789012:role/batches",
                variables.SHARD_LIST: "s3://artifacts/shards/documents/r1/plan.json",
            }
            options = ["--engine", "batch", "--poll-seconds", "0.1"]
            run.plan("--documents", str(run.write("in.jsonl", delivered)), *options)
            process = run.start_work()
            until(lambda: handed_over(service, 2))
            process.kill()
            process.communicate()
            state = tmp_path / "checkpoints" / "0" / "batches" / "batches.json"
            (arn,) = service.batches
            state.write_text(state.read_text().replace(arn, ""))
            service.gate.set()
            run.work()
            check(run, delivered)

    assert len(service.batches) == 1, "the token makes it one job"
    assert all(service.chat.asked[f"document {n}"] == 1 for n in range(120))


def _only(environment: dict[str, str]) -> dict[str, Any]:
    return {name: value for name, value in environment.items() if name.startswith("AWS_")}
