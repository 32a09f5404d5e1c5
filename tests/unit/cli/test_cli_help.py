from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from nightlatch import __version__
from nightlatch.cli.app import MODULES, run
from nightlatch.cli.reference import leaves, page
from nightlatch.cli.registration import EXAMPLES
from nightlatch.cli.settings import SHARED

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "help"
# Set to write the pages anew: NIGHTLATCH_GOLDEN=write pytest tests/unit/cli/test_cli_help.py
WRITE = os.environ.get("NIGHTLATCH_GOLDEN") == "write"

COMMANDS: dict[tuple[str, ...], Any] = dict(leaves())
PAGES = [(), ("locks",), ("schedule",), ("render",), ("local",), *COMMANDS]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("NIGHTLATCH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.parametrize("words", PAGES, ids=lambda words: "-".join(words) or "nightlatch")
def test_help_is_as_it_was_reviewed(
    words: tuple[str, ...], narrow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--help"]) == 0

    shown = "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())
    golden = GOLDEN / f"{'-'.join(words) or 'nightlatch'}.txt"
    if WRITE:
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")
    assert max(len(line) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize("words", COMMANDS, ids="-".join)
def test_every_command_shows_examples_of_itself(words: tuple[str, ...]) -> None:
    assert EXAMPLES[words]
    beginning = " ".join(("nightlatch", *words))
    assert all(beginning in example for example in EXAMPLES[words])


@pytest.mark.parametrize("words", COMMANDS, ids="-".join)
def test_every_option_in_an_example_exists(words: tuple[str, ...]) -> None:
    known = {flag for param in COMMANDS[words].params for flag in param.opts} | {"--help"}
    for example in EXAMPLES[words]:
        own = example.partition("|")[0].partition("&&")[0].partition(">")[0].replace(")", " ")
        used = {word for word in own.split() if word.startswith("-") and len(word) > 1}
        assert used <= known, example


@pytest.mark.parametrize("words", COMMANDS, ids="-".join)
def test_every_command_takes_the_shared_options(words: tuple[str, ...]) -> None:
    flags = {flag for param in COMMANDS[words].params for flag in param.opts}

    assert {flag for option in SHARED for flag in option.flags} <= flags


@pytest.mark.parametrize("words", COMMANDS, ids="-".join)
def test_every_command_takes_at_most_one_argument(words: tuple[str, ...]) -> None:
    arguments = [param for param in COMMANDS[words].params if param.param_type_name == "argument"]

    assert len(arguments) <= 1


def test_every_command_is_found_without_loading_the_others() -> None:
    assert {words[0] for words in COMMANDS} == set(MODULES)


def test_no_golden_page_is_left_of_a_command_that_is_gone() -> None:
    expected = {f"{'-'.join(words) or 'nightlatch'}.txt" for words in PAGES}

    assert {path.name for path in GOLDEN.glob("*.txt")} == expected


def test_the_reference_page_is_the_program() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == page()


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert __version__ == declared
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"nightlatch {declared}\n"
