from __future__ import annotations

import json
from pathlib import Path

from nightlatch.catalog.schema import SCHEMA_PATH, schema_text

ROOT = Path(__file__).parents[3]


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = SCHEMA_PATH.read_text(encoding="utf-8")

    assert committed == schema_text(), "run `python -m nightlatch.catalog.schema` and commit the result"


def test_the_jobs_file_names_the_schema_in_its_first_line() -> None:
    first = (ROOT / "jobs.yaml").read_text(encoding="utf-8").splitlines()[0]

    prefix, _, name = first.partition("$schema=")
    assert prefix == "# yaml-language-server: "
    assert (ROOT / name).samefile(SCHEMA_PATH)


def test_the_schema_completes_and_explains_what_people_write() -> None:
    schema = json.loads(schema_text())
    definitions = schema["$defs"]

    assert schema["additionalProperties"] is False
    assert {"schedule", "lock", "steps", "image", "environments"} <= set(definitions["Job"]["properties"])
    retry = definitions["Step"]["properties"]["retry"]
    assert {"launch", "spot", "exit_75"} <= set(retry["properties"])
    for name in ("cpu", "memory", "timeout_minutes", "stop_grace_seconds"):
        assert definitions["Step"]["properties"][name]["description"]
    assert "default" not in json.dumps(definitions["Step"]["properties"]["cpu"])
