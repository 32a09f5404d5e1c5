"""What the documents say is true: links lead somewhere, examples are valid, commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from nightlatch.catalog import load_catalog

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
NIGHTLATCH = Path(sys.executable).with_name("nightlatch")
LONGEST_README = 250

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(path.read_text()) if found == language]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(document: Path) -> None:
    lost = [
        target for target in LINK.findall(document.read_text()) if not (document.parent / target).exists()
    ]

    assert lost == []


@pytest.mark.parametrize("readme", ["README.md", "README.ja.md"])
def test_a_readme_is_short(readme: str) -> None:
    assert len((ROOT / readme).read_text().splitlines()) < LONGEST_README


def test_both_readmes_show_the_same_commands_pictures_and_links() -> None:
    english, japanese = ROOT / "README.md", ROOT / "README.ja.md"

    def skeleton(path: Path) -> list[str]:
        commands = [
            line.split("#")[0].rstrip() for body in blocks(path, "console") for line in body.splitlines()
        ]
        targets = sorted(set(LINK.findall(path.read_text())) - {"README.md", "README.ja.md"})
        return commands + targets

    assert skeleton(english) == skeleton(japanese)


def jobs_files(path: Path) -> list[Any]:
    """The examples of a whole jobs.yaml in a document."""
    return [found for body in blocks(path, "yaml") if "jobs" in (found := YAML().load(body))]


@pytest.mark.parametrize(
    "document",
    [document for document in DOCUMENTS if jobs_files(document)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_jobs_in_a_document_are_valid(document: Path, tmp_path: Path) -> None:
    yaml = YAML()
    shipped: Any = yaml.load((ROOT / "jobs.yaml").read_text())
    for example in jobs_files(document):
        shipped["jobs"] = example["jobs"]
        with (tmp_path / "jobs.yaml").open("w") as out:
            yaml.dump(shipped, out)

        catalog = load_catalog(tmp_path / "jobs.yaml", "prod")

        assert list(catalog.jobs) == list(example["jobs"])


@pytest.mark.slow
def test_every_command_in_the_documents_exists() -> None:
    """A command line of a document is given to `--help` with its words, without its values."""
    said = {
        tuple(shlex.split(line.split("#")[0].removeprefix("$").replace(".venv/bin/", ""))[1:])
        for document in DOCUMENTS
        for body in blocks(document, "console")
        for line in body.splitlines()
        if re.match(r"\$ (\.venv/bin/)?nightlatch ", line)
    }
    words = {tuple(word for word in command if re.fullmatch(r"[a-z]+", word))[:2] for command in said}
    assert words
    for command in words:
        done = subprocess.run([NIGHTLATCH, *command, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)


def jobs_as_shown() -> set[tuple[frozenset[str], str]]:
    """(programs, option) of every job that a document starts, by hand or as a run with parameters."""
    shipped: Any = YAML().load((ROOT / "jobs.yaml").read_text())["jobs"]
    found = set()
    for document in DOCUMENTS:
        for _, body in BLOCK.findall(document.read_text()):
            for line in body.splitlines():
                if by_hand := re.search(r"python -m tasks run ([a-z-]+)(.*)", line):
                    programs = frozenset({by_hand[1]})
                    found |= {(programs, option) for option in re.findall(r" --([a-z-]+)", by_hand[2])}
                if run := re.search(r"nightlatch run ([a-z-]+)(.*)", line):
                    # A step takes those that it has, and leaves the others alone.
                    programs = frozenset(
                        step["command"][0] for step in shipped.get(run[1], {"steps": ()})["steps"]
                    )
                    found |= {(programs, name) for name in re.findall(r" -p ([a-z-]+)=", run[2])}
    return found


@pytest.mark.slow
def test_every_option_of_a_job_in_the_documents_exists() -> None:
    shown = jobs_as_shown()
    assert len(shown) > 10
    known: dict[str, set[str]] = {}
    for program in frozenset.union(*(programs for programs, _ in shown)):
        command = [sys.executable, "-m", "tasks", "run", program, "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        known[program] = set(re.findall(r"--([a-z-]+)", done.stdout))
    for programs, option in shown:
        assert any(option in known[program] for program in programs), (programs, option)
