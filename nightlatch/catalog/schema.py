"""The JSON Schema of a jobs file, for editors: ``python -m nightlatch.catalog.schema`` writes it.

The file ``jobs.schema.json`` beside this module is generated and committed; a test fails when it is stale.
"""

from __future__ import annotations

import json
from pathlib import Path

from nightlatch.catalog.file_model import JobsFile

SCHEMA_PATH = Path(__file__).with_name("jobs.schema.json")


def schema_text() -> str:
    """The schema as the committed file has it."""
    schema = JobsFile.model_json_schema()
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jobs.yaml of nightlatch",
        **{key: value for key, value in schema.items() if key != "title"},
    }
    return json.dumps(_without_empty_defaults(schema), indent=2, ensure_ascii=False) + "\n"


def _without_empty_defaults(value: object) -> object:
    # A key that may be left out has no default of its own: `defaults` in the file is the only place for them.
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if not (key == "default" and item in (None, {}))}
        return {key: _without_empty_defaults(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [_without_empty_defaults(item) for item in value]
    return value


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
