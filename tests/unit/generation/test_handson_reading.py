"""Reading projects of guides: what is right, and the line and words of what is wrong."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tasks.jobs.generation.handson.graph import graph_of, mistakes
from tasks.jobs.generation.handson.keys import keys_of
from tasks.jobs.generation.handson.project import Project
from tasks.jobs.generation.handson.reading import read_projects
from tasks.jobs.program import JobError

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "handson"


def task(name: str, *after: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "title": f"Title {name}",
        "instruction": f"Write {name}.",
        "after": list(after),
        **more,
    }


def project(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "p", "title": "P", "language": "en", "tasks": list(tasks), **more}


def refused(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JobError) as raised:
        read_projects(str(path))
    assert raised.value.exit_code == 64
    return str(raised.value)


def read(tmp_path: Path, members: Any) -> list[Project]:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(members), encoding="utf-8")
    return read_projects(str(path))


def test_the_examples_are_whole() -> None:
    first, night, machine = read_projects(f"{EXAMPLES / 'first-night.yaml'},{EXAMPLES / 'two-guides.yaml'}")

    assert [len(one.tasks) for one in (first, night, machine)] == [20, 20, 20]
    assert (night.title, night.tasks[0].title) == (
        "Step Functions と DynamoDB のロックで夜間バッチを動かす",
        "到達目標",
    )
    assert machine.tasks[0].title == "What you will be able to do"
    assert machine.priority == 2
    assert {one.output for one in night.tasks} == {"markdown", "json", "yaml"}
    assert graph_of(night).order[-1] == "summary"


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    members = project(task("a"), task("b", "a", output="json", schema={"type": "object"}))
    (tmp_path / "p.yaml").write_text(
        "id: p\ntitle: P\nlanguage: en\ntasks:\n- {id: a, title: Title a, instruction: Write a.}\n"
        "- id: b\n  title: Title b\n  instruction: Write b.\n  after: [a]\n  output: json\n"
        "  schema: {type: object}\n"
    )

    assert read(tmp_path, members) == read_projects(str(tmp_path / "p.yaml"))


def test_a_circle_is_told_as_who_waits_for_whom(tmp_path: Path) -> None:
    text = json.dumps(project(task("a", "c"), task("b", "a"), task("c", "b"), task("d")), indent=1)

    said = refused(tmp_path, "p.json", text)

    circle = said.partition("in a circle: ")[2].split(" waits for ")
    assert circle[0] == circle[-1]
    assert set(circle) == {"a", "b", "c"}
    waits = {"a": "c", "b": "a", "c": "b"}
    assert all(waits[who] == for_whom for who, for_whom in pairwise(circle))
    assert "p.json:" in said


@pytest.mark.parametrize(
    ("tasks", "line", "words"),
    [
        ("- {id: a, title: A, instruction: x, after: [b]}", 5, "task a waits for b, which is not there"),
        ("- {id: a, title: A, instruction: x, after: [a]}", 5, "task a waits for itself"),
        (
            (
                "- {id: a, title: A, instruction: x}\n- {id: b, title: B, instruction: x}\n"
                "- {id: a, title: C, instruction: x}"
            ),
            7,
            "task a is there twice",
        ),
        ("- {id: a, title: A}", 5, "instruction: field required"),
        ("- id: a\n  title: A\n  instruction: x\n  afer: [b]", 8, "afer: extra inputs"),
        ("- {id: ../a, title: A, instruction: x}", 5, "id: string should match"),
        ("- {id: a, title: A, instruction: x, schema: {type: object}}", 5, "needs output json or yaml"),
        ("- {id: a, title: A, instruction: x, output: json, schema: {type: text}}", 5, "one of an object"),
        (
            "- {id: a, title: A, instruction: x, output: json, schema: {type: object, required: 3}}",
            5,
            "the schema is wrong",
        ),
        (
            "- {id: a, title: A, instruction: x, output: json, schema: {type: object, $ref: '#/$defs/b'}}",
            5,
            "#/$defs/b leads nowhere in it",
        ),
        (
            "- {id: a, title: A, instruction: x, output: json, schema: {type: object, $ref: 'http://x/y'}}",
            5,
            "nothing is fetched from elsewhere",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, tasks: str, line: int, words: str) -> None:
    said = refused(tmp_path, "p.yaml", f"id: p\ntitle: P\nlanguage: en\ntasks:\n{tasks}\n")

    assert f"p.yaml:{line}: " in said
    assert words in said
    assert "; " not in said


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.json", '{"id": "p",\n "id": "q"}', '"id" is written twice'),
        ("p.json", '{"id": \n"p"', "p.json:2: not JSON"),
        ("p.yaml", "id: p\nid: q\n", "p.yaml:2: not YAML"),
        ("p.yaml", "id: [p\ntitle: x", "not YAML"),
        ("p.yaml", "- just\n- a list\n", "should be a valid dictionary"),
        ("p.yaml", "id: p\ntopic: 7\n", "topic: extra inputs"),
        ("p.yaml", "projects: 7\n", "projects: "),
        ("p.yaml", "id: p\ntitle: T\ntasks: []\n", "at least 1 item"),
    ],
)
def test_a_file_that_is_no_project_is_told_so(tmp_path: Path, name: str, text: str, words: str) -> None:
    assert words in refused(tmp_path, name, text)


def test_the_same_project_twice_and_no_file_and_no_text(tmp_path: Path) -> None:
    twice = {"projects": [project(task("a")), project(task("a"))]}
    assert "project p is there twice" in refused(tmp_path, "p.json", json.dumps(twice))
    (tmp_path / "q.json").write_text(json.dumps(project(task("a"))))
    with pytest.raises(JobError, match="is there twice: in "):
        read_projects(f"{tmp_path / 'q.json'},{tmp_path / 'q.json'}")
    with pytest.raises(JobError, match="No such file"):
        read_projects(str(tmp_path / "none.yaml"))
    (tmp_path / "b.yaml").write_bytes(b"id: p\ntitle: \xff")
    with pytest.raises(JobError, match=r"b\.yaml:2: not UTF-8"):
        read_projects(str(tmp_path / "b.yaml"))


def test_a_project_in_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="guides")
        client.put_object(Bucket="guides", Key="a/p.json", Body=json.dumps(project(task("a"))).encode())

        assert read_projects("s3://guides/a/p.json") == read(tmp_path, project(task("a")))
        with pytest.raises(JobError, match="NoSuchKey") as raised:
            read_projects("s3://guides/a/q.json")
    assert raised.value.exit_code == 64


def test_a_schema_may_refer_to_its_own_parts(tmp_path: Path) -> None:
    word = {"type": "string"}
    form = {"type": "object", "properties": {"a": {"$ref": "#/$defs/word"}}, "$defs": {"word": word}}

    [one] = read(tmp_path, project(task("a", output="json", schema=form)))

    assert one.tasks[0].form == form


def test_a_graph_knows_what_hangs_on_what(tmp_path: Path) -> None:
    [one] = read(
        tmp_path, project(task("d", "b", "c"), task("b", "a"), task("c", "a", weight=3), task("a"), task("e"))
    )
    graph = graph_of(one)

    assert graph.descendants("a") == {"b", "c", "d"}
    assert graph.descendants("e") == frozenset()
    assert graph.tail == {"d": 1, "b": 2, "c": 4, "a": 5, "e": 1}
    assert graph.depth == {"a": 0, "e": 0, "b": 1, "c": 1, "d": 2}
    assert graph.order.index("a") < graph.order.index("b") < graph.order.index("d")
    assert list(mistakes(one.tasks)) == []


def test_a_result_counts_for_exactly_what_went_into_it(tmp_path: Path) -> None:
    def keys(*tasks: dict[str, Any], engine: str = "e", **more: Any) -> dict[str, str]:
        return keys_of(graph_of(read(tmp_path, project(*tasks, **more))[0]), engine)

    before = keys(task("a"), task("b", "a"), task("c"))

    assert keys(task("c", weight=7), task("a", timeout_seconds=9), task("b", "a"), priority=3) == before
    changed = keys(task("a", instruction="Write it better."), task("b", "a"), task("c"))
    assert [name for name in before if changed[name] != before[name]] == ["a", "b"]
    assert not set(keys(task("a"), task("b", "a"), task("c"), engine="f").values()) & set(before.values())
    assert keys(task("a"), task("b", "a", "c"), task("c"))["b"] != before["b"]
