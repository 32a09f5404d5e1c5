"""handson-generate as a process: whole runs, providers with a bad day, being stopped and killed, going on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from tasks.contract import exit_codes, parse_progress, variables
from tests.support.model_server import Act, Asked, ModelServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "handson"
MODULE = "tasks.jobs.generation.handson.handson_generate"


class Work:
    """One folder, with what a container has: a checkpoint and an output directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.checkpoint = folder / "checkpoint"

    def project(self, *tasks: dict[str, Any], name: str = "p", **more: Any) -> str:
        path = self.folder / f"{name}.json"
        members = {"id": name, "title": name, "language": "en", "tasks": tasks, **more}
        path.write_text(json.dumps(members), encoding="utf-8")
        return str(path)

    def start(self, *options: str, server: ModelServer | None = None, **more: str) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            variables.OUTPUT_DIR: str(self.output),
            variables.CHECKPOINT_DIR: str(self.checkpoint),
            "SEARCH_CORPUS": str(ROOT / "docs"),
            **(openai(server) if server else {}),
            **more,
        }
        command = [sys.executable, "-m", MODULE, "--first-wait-seconds", "0.05", *options]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *options: str, server: ModelServer | None = None, **more: str) -> tuple[int, str]:
        process = self.start(*options, server=server, **more)
        text, _ = process.communicate(timeout=100)
        return process.returncode, text

    def parts(self, name: str = "p") -> dict[str, dict[str, Any]]:
        members = json.loads((self.output / name / "handson.json").read_text())
        return {part["id"]: part for part in members["parts"]}

    def kept(self) -> set[str]:
        files = (self.checkpoint / "finished").glob("*.json")
        return {record["task"] for file in files for record in json.loads(file.read_text())["records"]}


def openai(server: ModelServer) -> dict[str, str]:
    return {
        "LLM_ENGINE": "openai",
        "LLM_MODEL": "model-1",
        "LLM_BASE_URL": f"{server.url}/v1",
        "LLM_API_KEY": "key-1",
        "SEARCH_ENGINE": "searxng",
        "SEARCH_URL": server.url,
    }


def task(name: str, *after: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "title": f"Title {name}",
        "instruction": f"Write {name}.",
        "after": list(after),
        **more,
    }


DIAMOND = (
    task("a"),
    task("b", "a", output="json"),
    task("c", "a", output="yaml"),
    task("d", "b", "c"),
    task("e"),
)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def until(condition: Callable[[], object], patience: float = 30) -> None:
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def sections(server: ModelServer) -> Counter[str]:
    return Counter(asked.section.removeprefix("Title ") for asked in server.asked)


def test_three_guides_are_made_without_a_network(work: Work) -> None:
    files = f"{EXAMPLES / 'first-night.yaml'},{EXAMPLES / 'two-guides.yaml'}"
    params = json.dumps({"project": files, "parallel": "4", "unknown": "of another step"})

    code, text = work.run(NIGHTLATCH_PARAMS=params)

    assert code == 0, text
    for name in ("first-night", "night-batch", "state-machine"):
        parts = work.parts(name)
        assert [part["state"] for part in parts.values()] == ["succeeded"] * 20
        page = html.parse(work.output / name / "index.html")
        assert "quotes sentences" in page.getroot().text_content() or name == "night-batch"
        assert len(list(page.getroot().iter("section"))) == 20
        assert len(list((work.output / name / "tasks").iterdir())) == 20
    # What the offline engine writes, it quotes: every sentence stands in the documents.
    corpus = " ".join(" ".join(path.read_text().split()) for path in (ROOT / "docs").rglob("*.md"))
    first = work.parts("first-night")["local"]["output"]
    quoted = [line.removeprefix("- ").rpartition(" [")[0] for line in first.splitlines()]
    plain = corpus.replace("`", "")
    assert any(sentence.replace("`", "") in plain for sentence in quoted)
    lines = [found for line in text.splitlines() if (found := parse_progress(line))]
    assert (lines[-1].done, lines[-1].total, lines[-1].phase) == (60, 60, "generate")
    assert "first-night 20/20" in lines[-1].message


@pytest.mark.parametrize("engine", ["openai", "bedrock"])
def test_a_provider_with_a_bad_day_makes_no_difference_to_the_result(work: Work, engine: str) -> None:
    bad: list[Act] = ["throttle", "not_json", "bad_json", "die", "fail", "empty", "twice", "hang"]

    def behave(asked: Asked) -> Act:
        # Every section meets two bad answers, each another two.
        place = bad[(sum(map(ord, asked.section)) + asked.times) % len(bad)]
        return place if asked.times <= 2 else "answer"

    tasks = [dict(one, timeout_seconds=1.5) for one in DIAMOND]
    with ModelServer(behave, retry_after="0.2") as server:
        more = {"LLM_ENGINE": engine, "LLM_BASE_URL": server.url} if engine == "bedrock" else {}
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "ap-northeast-1"}
        code, text = work.run(
            "--project", work.project(*tasks), "--tries", "12", server=server, **more, **keys
        )

        assert code == 0, text
        first = {name: part["output"] for name, part in work.parts().items()}
        assert set(first) == {"a", "b", "c", "d", "e"}
        assert first["b"]["summary"] == "Title b summary"
        server.behave = lambda _: "answer"
        again = Work(work.folder / "again")
        again.folder.mkdir()
        assert again.run("--project", again.project(*tasks), server=server, **more, **keys)[0] == 0

    assert {name: part["output"] for name, part in again.parts().items()} == first


def test_a_limit_of_tokens_a_minute_is_kept_to(work: Work) -> None:
    with ModelServer(tokens_a_minute=60_000) as server:
        project = work.project(*(task(f"t{n}") for n in range(20)))
        code, text = work.run("--project", project, "--parallel", "20", "--tries", "40", server=server)

    assert code == 0, text
    assert server.throttled > 0
    assert "throttled" in text
    assert {part["state"] for part in work.parts().values()} == {"succeeded"}


def test_an_answer_that_stays_unusable_fails_its_task_after_one_repair(work: Work) -> None:
    tasks = (*DIAMOND, task("f", "b"), task("g"), task("h"), task("i"), task("j"), task("k"), task("l"))
    with ModelServer(lambda asked: "bad_json" if asked.section == "Title b" else "answer") as server:
        code, text = work.run("--project", work.project(*tasks), server=server)

    assert code == 0, text
    assert sections(server)["b"] == 2
    assert work.parts()["b"]["reason"].startswith("bad answer, twice: it is not JSON")
    repair = [asked.body["messages"][-1]["content"] for asked in server.asked if asked.section == "Title b"][
        1
    ]
    assert "Your last answer was not usable: it is not JSON" in repair


def test_a_failed_search_is_tried_again_and_then_fails_its_task(work: Work) -> None:
    with ModelServer(lambda asked: "fail" if asked.times < 3 else "answer", results=-3) as server:
        server_model = ModelServer()
        with server_model:
            more = {"SEARCH_URL": server.url}
            code, text = work.run("--project", work.project(task("a")), server=server_model, **more)

    assert code == 0, text
    assert len(server.searched) == 3
    assert next(source["address"] for source in work.parts()["a"]["sources"]).startswith(
        "https://example.org/"
    )


def test_exactly_what_hangs_on_a_failed_task_is_skipped_and_the_next_run_makes_only_that(work: Work) -> None:
    tasks = (*DIAMOND, task("f", "e"), task("g", "f"), task("h"), task("i", "h"), task("j"))
    with ModelServer(lambda asked: "refuse" if asked.section == "Title e" else "answer") as server:
        beside = work.project(task("x"), task("y", "x"), name="q")
        projects = f"{work.project(*tasks)},{beside}"
        code, text = work.run("--project", projects, server=server)

        assert code == 0, text
        states = {name: part["state"] for name, part in work.parts().items()}
        assert {name for name in states if states[name] == "failed"} == {"e"}
        assert {name for name in states if states[name] == "skipped"} == {"f", "g"}
        assert {name for name in states if states[name] == "succeeded"} == set("abcdhij")
        assert work.parts()["g"]["because"] == "e"
        assert "content filter" in work.parts()["e"]["reason"]
        assert {part["state"] for part in work.parts("q").values()} == {"succeeded"}
        before = sections(server)
        assert before["e"] == 1

        # The next run has another checkpoint: what it has is what this one published.
        server.behave = lambda _: "answer"
        previous = {variables.PREVIOUS_DIR: str(work.output / "state")}
        following = Work(work.folder / "next")
        code, text = following.run("--project", projects, server=server, **previous)

        assert code == 0, text
        assert sections(server) - before == Counter("efg")
        assert {part["state"] for part in following.parts().values()} == {"succeeded"}
        assert {name for name, part in following.parts().items() if not part["kept"]} == set("efg")


@pytest.mark.parametrize(
    ("act", "code"), [("fail", exit_codes.TRY_AGAIN), ("refuse", exit_codes.WRONG_INPUT)]
)
def test_more_missing_than_tolerated_publishes_nothing_and_keeps_what_is_finished(
    work: Work, act: Any, code: int
) -> None:
    with ModelServer(lambda asked: act if asked.section == "Title a" else "answer") as server:
        ended, text = work.run("--project", work.project(*DIAMOND), "--tries", "2", server=server)

        assert ended == code, text
        assert "4 of 5 tasks are missing (1 failed), and 25 % are tolerated" in text
        assert not work.output.exists()
        assert work.kept() == {"e"}
        server.behave = lambda _: "answer"
        assert work.run("--project", work.project(*DIAMOND), server=server)[0] == 0

    assert sections(server)["e"] == 1


def test_no_access_ends_the_job_at_once(work: Work) -> None:
    with ModelServer(lambda _: "forbid") as server:
        code, text = work.run("--project", work.project(*(task(f"t{n}") for n in range(9))), server=server)

    assert code == exit_codes.WRONG_INPUT
    assert "access refused" in text
    assert "Traceback" not in text
    assert len(server.asked) <= 5
    assert not work.output.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "which project?"),
        (("--project", "CIRCLE"), "in a circle: "),
        (("--project", "UNKNOWN"), "task a waits for z, which is not there"),
        (("--project", "GOOD", "--parallel", "0"), "--parallel: must be a number from 1 to 10000"),
        (("--project", "GOOD", "--engine", "gpt"), "LLM_ENGINE='gpt' is none of"),
        (("--project", "GOOD", "--corpus", "nowhere"), "SEARCH_CORPUS='nowhere' is no folder"),
    ],
)
def test_wrong_input_ends_with_64_and_words_and_publishes_nothing(
    work: Work, options: tuple[str, ...], words: str
) -> None:
    files = {
        "CIRCLE": work.project(task("a", "b"), task("b", "a"), name="circle"),
        "UNKNOWN": work.project(task("a", "z"), name="unknown"),
        "GOOD": work.project(task("a"), name="good"),
    }

    code, text = work.run(*(files.get(option, option) for option in options))

    assert code == exit_codes.WRONG_INPUT, text
    assert words in text
    assert "Traceback" not in text
    assert not work.output.exists()


def test_sigterm_ends_within_seconds_and_keeps_everything_finished(work: Work) -> None:
    # Two tasks hang, as a model does that thinks for minutes; everything else is made meanwhile.
    hanging = {"Title a", "Title t0"}
    with ModelServer(lambda asked: "hang" if asked.section in hanging else "answer") as server:
        tasks = (*DIAMOND, *(task(f"t{n}") for n in range(6)))
        process = work.start("--project", work.project(*tasks), "--parallel", "3", server=server)
        done = {"e", *(f"t{n}" for n in range(1, 6))}
        until(lambda: work.kept() >= done)
        process.send_signal(signal.SIGTERM)
        text, _ = process.communicate(timeout=30)

        assert process.returncode == exit_codes.STOPPED, text
        assert "stopped: 6 of 11 tasks are finished and kept" in text
        assert work.kept() == done
        assert not work.output.exists()
        before = sections(server)
        server.behave = lambda _: "answer"
        code, text = work.run("--project", work.project(*tasks), server=server)

    assert code == 0, text
    assert "6 of 11 tasks were finished before" in text
    assert set(sections(server) - before) == {"a", "b", "c", "d", "t0"}


def test_sigterm_in_the_first_moments_is_a_stop_as_well(work: Work) -> None:
    with ModelServer(lambda _: "hang") as server:
        for delay in (0.3, 0.6):
            process = work.start("--project", work.project(*DIAMOND), server=server)
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            # Before Python has set the handler, the signal itself ends the process.
            assert process.returncode in {exit_codes.STOPPED, -signal.SIGTERM}


def test_killed_again_and_again_it_makes_the_same_whole_and_nothing_twice(work: Work) -> None:
    names = [f"t{n}" for n in range(20)]
    tasks = [
        task(name, *([names[n - 3]] if n > 2 else []), output="json" if n % 4 == 1 else "markdown")
        for n, name in enumerate(names)
    ]
    chance = random.Random(11)
    with ModelServer(seconds=0.05) as server:
        projects = f"{work.project(*tasks)},{work.project(*tasks, name='q')}"
        kills = 0
        while kills < 8:
            process = work.start("--project", projects, "--parallel", "4", server=server)
            asked = len(server.asked)
            until(
                lambda asked=asked, process=process: len(server.asked) > asked or process.poll() is not None
            )
            if process.poll() is not None:
                process.communicate()
                break
            time.sleep(chance.uniform(0, 0.4))
            process.kill()
            process.communicate()
            kills += 1
            assert not work.output.exists() or process.returncode == 0
        code, text = work.run("--project", projects, "--parallel", "4", server=server)
        assert code == 0, text
        made = server.answered
        alone = Work(work.folder / "alone")
        alone.folder.mkdir()
        with ModelServer() as other:
            assert alone.run("--project", projects, server=other)[0] == 0

    assert kills > 2
    for name in ("p", "q"):
        whole = {part: members["output"] for part, members in work.parts(name).items()}
        assert whole == {part: members["output"] for part, members in alone.parts(name).items()}
    # A kill costs at most what was under way: four tasks, each answered but not yet on the disk.
    assert sum(made.values()) <= 40 + 4 * kills


def test_under_the_runtime_finished_tasks_travel_to_the_next_container(work: Work, tmp_path: Path) -> None:
    def environment(server: ModelServer, attempt: int) -> dict[str, str]:
        return {
            **os.environ,
            **openai(server),
            variables.JOB: "guides",
            variables.RUN: "r1",
            variables.STEP: "write",
            variables.ATTEMPT: str(attempt),
            variables.CHECKPOINT: f"file://{tmp_path}/store/checkpoint/",
            variables.OUTPUT: f"file://{tmp_path}/store/output/",
            variables.STOP_GRACE: "20",
            variables.PARAMS: json.dumps({"project": work.project(*DIAMOND)}),
        }

    command = [sys.executable, "-m", "tasks", "run", "handson-generate"]
    with ModelServer(lambda asked: "hang" if asked.section == "Title d" else "answer") as server:
        first = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(server, 1),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        until(lambda: sections(server)["d"] == 1)
        first.send_signal(signal.SIGTERM)
        text, _ = first.communicate(timeout=60)
        assert first.returncode == exit_codes.STOPPED, text

        server.behave = lambda _: "answer"
        second = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(server, 2),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert second.returncode == 0, second.stdout + second.stderr
    assert sections(server) == Counter({"a": 1, "b": 1, "c": 1, "d": 2, "e": 1})
    current = json.loads((tmp_path / "store/output/current.json").read_text())
    assert {"index.html", "p/index.html", "p/graph.svg", "state/finished.json"} <= {
        file["name"] for file in current["files"]
    }


def program(module: str, work: Work, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, variables.OUTPUT_DIR: str(work.output), **more}
    command = [sys.executable, "-m", f"tasks.jobs.generation.handson.{module}"]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_each_guide_in_a_container_of_its_own_and_all_in_one_place(work: Work, tmp_path: Path) -> None:
    two = work.project(task("a"), task("b", "a"), name="first")
    files = f"{two},{work.project(task('x'), name='second')},{work.project(task('y'), name='third')}"

    planned = program("handson_plan", work, NIGHTLATCH_PARAMS=json.dumps({"project": files}))

    assert planned.returncode == 0, planned.stderr
    shards = json.loads((work.output / "shards.json").read_text())
    assert [shard["id"] for shard in shards] == ["first", "second", "third"]
    # As the runtime lays it out; the third container never published.
    collected = tmp_path / "shards"
    collected.mkdir()
    with ModelServer() as server:
        for index, shard in enumerate(shards[:2]):
            one = Work(tmp_path / f"container-{index}")
            code, text = one.run(
                server=server, NIGHTLATCH_SHARD=json.dumps(shard), NIGHTLATCH_SHARD_INDEX=str(index)
            )
            assert code == 0, text
            assert {path.name for path in one.output.iterdir() if path.is_dir()} == {shard["id"], "state"}
            one.output.rename(collected / str(index))
    listed = [
        {"index": index, "shard": shard, "published": index < 2, "files": []}
        for index, shard in enumerate(shards)
    ]
    (collected / "shards.json").write_text(json.dumps(listed))
    whole = Work(tmp_path / "whole")

    done = program("handson_collect", whole, NIGHTLATCH_SHARDS_DIR=str(collected))

    assert done.returncode == 0, done.stderr
    guides = json.loads((whole.output / "handson.json").read_text())["projects"]
    assert [(guide["id"], guide["status"]) for guide in guides] == [
        ("first", "complete"),
        ("second", "complete"),
        ("third", "missing"),
    ]
    page = html.parse(whole.output / "index.html").getroot()
    assert [link.get("href") for link in page.iter("a")] == ["first/index.html", "second/index.html"]
    assert (whole.output / "first" / "tasks" / "02-b.md").read_text().startswith("### Title b")


def test_a_plan_of_wrong_projects_starts_nothing(work: Work) -> None:
    circle = work.project(task("a", "b"), task("b", "a"))

    planned = program("handson_plan", work, NIGHTLATCH_PARAMS=json.dumps({"project": circle}))

    assert planned.returncode == exit_codes.WRONG_INPUT
    assert "in a circle" in planned.stderr
    assert not work.output.exists()
    assert "comes after a fan_out" in program("handson_collect", work).stderr
    gone = json.dumps({"project": work.project(task("a"), name="q"), "id": "p"})
    assert "there is no project p in" in program("handson_generate", work, NIGHTLATCH_SHARD=gone).stderr
