"""The house rules that a machine can check."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("lock", "statemachine", "tasks", "nightlatch")
LONGEST_FILE = 500
TIRED_NAMES = {"utils", "helpers", "common", "manager", "util", "helper", "misc"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "."], id="lint"),
        pytest.param(["ruff", "format", "--check", "."], id="format"),
        pytest.param(["mypy"], id="types"),
        pytest.param(["lint-imports"], id="imports"),
    ],
)
def test_the_checks_of_make_check_are_clean(command: list[str]) -> None:
    tool = Path(sys.executable).with_name(command[0])

    done = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_no_python_file_has_grown_past_its_reason() -> None:
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("*.py")
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }

    assert too_long == {}


def test_no_file_is_named_after_nothing() -> None:
    assert [str(path) for path in tracked("*.py") if path.stem in TIRED_NAMES] == []


def test_every_room_is_typed_and_packaged() -> None:
    for room in ROOMS:
        assert (ROOT / room / "py.typed").is_file()


def test_tests_use_shipped_fakes_and_never_patch() -> None:
    word = re.compile(r"\bmock\.patch|\bunittest\.mock|\bfrom unittest import mock")

    guilty = [
        str(path)
        for path in tracked("tests/*.py")
        if word.search(path.read_text()) and path != Path(__file__)
    ]

    assert guilty == []


def test_the_command_line_starts_without_its_heavy_imports() -> None:
    heavy = ["boto3", "pydantic", "rich", "typer", "moto", "trio"]
    program = (
        "import sys, json; sys.argv = ['nightlatch', '--version']\n"
        "from nightlatch.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(json.dumps([name for name in {heavy!r} if name in sys.modules]))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout.splitlines()[-1]) == []
