"""The three document programs as steps of one job over the local AWS, by the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chat_endpoint import right_label
from tests.support.documents import endpoint
from tests.support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


class News(Installation):
    """An installation with the job as its document shows it."""

    def add_documents(self, url: str) -> None:
        model = {"LLM_ENGINE": "openai", "LLM_MODEL": "m", "LLM_BASE_URL": url}
        fan_out = {
            "shards_from": "plan",
            "shard_timeout_minutes": 2,
            "max_concurrency": 2,
            "tolerated_failure_percentage": 0,
        }
        self.add_job(
            "documents",
            {"name": "plan", "command": ["documents-plan"], "timeout_minutes": 2, "environment": model},
            {
                "name": "work",
                "command": ["documents-work"],
                "timeout_minutes": 5,
                "environment": model,
                "fan_out": fan_out,
            },
            {"name": "collect", "command": ["documents-collect"], "timeout_minutes": 2},
        )

    def collected(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output("documents", "collect")[name].splitlines()]


@pytest.fixture(scope="module")
def news(tmp_path_factory: pytest.TempPathFactory) -> Iterator[News]:
    with endpoint(latency=0.02, bad_json=0.02) as url:
        built = News(tmp_path_factory.mktemp("news"))
        built.add_documents(url)
        built.up()
        yield built
        built.down()


def test_documents_go_through_plan_shards_and_collect_and_only_the_failed_again(
    news: News, tmp_path: Path
) -> None:
    texts = {f"d{n}": f"document {n}" for n in range(60)} | {"poison": "BAD-ALWAYS", "no": "REFUSE this"}
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in texts.items()))
    told = ["-p", f"documents={path}", "-p", "labels=red,green,blue", "-p", "shard-documents=25"]

    run = news.cli("run", "documents", "--wait", *told).stdout.splitlines()[0]

    (fan_out,) = news.cli_json("show", run)["fan_outs"]
    assert (fan_out["shards"], fan_out["succeeded"]) == (3, 3)
    results, dead = news.collected("results.jsonl"), news.collected("dead_letters.jsonl")
    assert sorted([one["id"] for one in [*results, *dead]]) == sorted(texts)
    assert all(one["answer"] == {"label": right_label(texts[one["id"]])} for one in results)
    assert {one["id"] for one in dead} >= {"poison", "no"}

    place = f"redrive=s3://{news.bucket()}/outputs/documents/collect/current.json"
    news.cli("run", "documents", "--wait", "-p", place, "-p", "labels=red,green,blue")

    again = [*news.collected("results.jsonl"), *news.collected("dead_letters.jsonl")]
    assert sorted(one["id"] for one in again) == sorted(one["id"] for one in dead)
    # Nothing is left to be done: a list without shards is a run that ends well.
    fine = tmp_path / "none.jsonl"
    fine.touch()
    news.cli("run", "documents", "--wait", "-p", f"redrive={fine}", "-p", "labels=red,green,blue")
    assert news.lock_is_free("documents")
