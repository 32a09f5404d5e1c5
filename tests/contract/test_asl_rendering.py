"""Python and Terraform render the same bytes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from statemachine.render import RenderError, jsonencode, render_janitor, render_job, render_watchdog
from tests.support.definitions import VALUES, definition, settings, step

REPOSITORY = Path(__file__).parents[2]
TERRAFORM = shutil.which(os.environ.get("TERRAFORM", "terraform"))
AWKWARD = settings(
    steps=[
        step("first", retry_wait={"first_seconds": 15, "rate": 1.5, "max_seconds": 300.0}),
        step("zweiter-schritt-ü", retry={"exit": 0}),
    ],
    note='<&> "quoted" \u2028 \\ 夜',
)


def console(expression: str, folder: Path) -> str:
    if TERRAFORM is None:
        message = "terraform is not on PATH: install it, or name it in TERRAFORM, to compare both renderers"
        pytest.fail(message) if os.environ.get("REQUIRE_TERRAFORM") else pytest.skip(message)
    answer = subprocess.run(
        [TERRAFORM, "console"],
        input=" ".join(expression.split("\n")),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return str(json.loads(json.loads(answer.stdout)))


def test_a_job_renders_as_terraform_does(tmp_path: Path) -> None:
    (tmp_path / "given.json").write_text(json.dumps({"settings": AWKWARD, "values": VALUES}))
    tokens = '{ settings = "@settings@", run_timeout_seconds = "@timeout@" }'
    rendered = console(
        f"""jsonencode(replace(replace(
              templatefile("{REPOSITORY}/statemachine/job.asl.json",
                merge(jsondecode(file("given.json")).values, {tokens})),
              "\\"@settings@\\"", jsonencode(jsondecode(file("given.json")).settings)),
              "\\"@timeout@\\"", jsondecode(file("given.json")).settings.run_timeout_seconds))""",
        tmp_path,
    )
    assert rendered == render_job(AWKWARD, VALUES)


@pytest.mark.parametrize("name", ["janitor", "watchdog"])
def test_the_others_render_as_terraform_does(name: str, tmp_path: Path) -> None:
    (tmp_path / "given.json").write_text(json.dumps(VALUES))
    file = f"{REPOSITORY}/statemachine/{name}.asl.json"
    rendered = console(f'jsonencode(templatefile("{file}", jsondecode(file("given.json"))))', tmp_path)
    assert rendered == {"janitor": render_janitor, "watchdog": render_watchdog}[name](VALUES)


@pytest.mark.parametrize("name", ["job", "janitor", "watchdog"])
def test_the_file_itself_is_json_that_any_editor_takes(name: str) -> None:
    text = (REPOSITORY / "statemachine" / f"{name}.asl.json").read_text()
    assert json.loads(text)["QueryLanguage"] == "JSONata"
    assert "%{" not in text, "templatefile takes %{ as a directive"
    assert text.isascii()


def test_the_settings_stand_in_the_definition_as_a_literal() -> None:
    machine = json.loads(definition("job"))
    assert machine["States"]["Begin"]["Assign"]["settings"] == settings()
    assert machine["TimeoutSeconds"] == settings()["run_timeout_seconds"]


def test_text_is_encoded_as_terraform_encodes_it() -> None:
    assert jsonencode({"b": "<&>", "a": 2.0, "c": 1.5}) == '{"a":2,"b":"\\u003c\\u0026\\u003e","c":1.5}'


def test_a_missing_value_is_named() -> None:
    with pytest.raises(RenderError, match=r"\$\{topic_arn\} has no value"):
        render_watchdog({key: value for key, value in VALUES.items() if key != "topic_arn"})


@pytest.mark.parametrize("bad", ["a'b", 'a"b', "a\\b", "a\nb", "a{b"])
def test_a_value_that_would_end_a_text_is_refused(bad: str) -> None:
    with pytest.raises(RenderError, match="may not stand in a definition"):
        render_job(settings(), {**VALUES, "bucket": bad})
