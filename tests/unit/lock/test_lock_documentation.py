"""The pages about the lock say what the code does, and their examples run."""

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from lock import LockTable, table_definition
from lock.expressions import EXPRESSIONS
from tests.model.mutants import MUTANTS
from tests.support.lock_tables import in_process_client

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[3] / "docs" / "lock"


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / "alone.md").read_text(), flags=re.DOTALL)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> "Iterator[LockTable]":
    for name, value in {"AWS_DEFAULT_REGION": "ap-northeast-1", "AWS_ACCESS_KEY_ID": "test"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = in_process_client(create=False)
        client.create_table(**table_definition("locks"))
        yield LockTable.connect("locks", client=client)


class Postgres:
    """What the example needs of a psycopg connection; the statement itself is tested elsewhere."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.rowcount = 1

    def execute(self, statement: str, *_: Any) -> None:
        self.statements.append(statement.split(maxsplit=1)[0])

    def cursor(self) -> "Postgres":
        return self

    @contextmanager
    def transaction(self) -> "Iterator[None]":
        yield


@pytest.mark.parametrize("number", range(3))
def test_the_examples_run(aws: LockTable, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    tokens: list[int] = []
    connection = Postgres()
    names = {"write_report": lambda *, fencing_token: tokens.append(fencing_token), "connection": connection}
    for _ in range(2):
        exec(examples()[number], dict(names))  # noqa: S102 -- the page's own text
    if number == 0:
        assert len(tokens) == 2
        assert tokens[0] < tokens[1]
    elif number == 1:
        assert len(tokens) == 1
        assert capsys.readouterr().out == "2026-11 is done already\n"
    else:
        assert connection.statements == ["CREATE", "INSERT", "UPDATE"] * 2
    item = aws.get("monthly-report")
    assert number == 2 or (item is not None and item.holder is None)


def test_there_are_as_many_examples_as_are_run() -> None:
    assert len(examples()) == 3


def test_every_rule_has_a_mutant_and_every_mutant_a_rule() -> None:
    page = (DOCS / "safety.md").read_text()
    table = page.partition("<!-- rules -->")[2].partition("<!-- /rules -->")[0]
    rows = re.findall(r"^\| (\d+[a-z]?) .* \| (\w+) \|$", table, flags=re.MULTILINE)
    told = dict(rows)
    assert told.pop("11") == "retries"  # not unsafe, only useless: it has a test of its own
    assert told == {mutant.rule: mutant.breaks for mutant in MUTANTS}


def test_the_page_counts_the_expressions() -> None:
    assert len(EXPRESSIONS) == 17
    assert "seventeen conditional writes" in (DOCS / "safety.md").read_text()


def test_rules_named_in_the_code_exist() -> None:
    text = (Path(__file__).parents[3] / "lock" / "expressions.py").read_text()
    numbers = {
        int(n) for group in re.findall(r"\(rules? ([\d and,]+)\)", text) for n in re.findall(r"\d+", group)
    }
    known = {int(re.match(r"\d+", mutant.rule).group()) for mutant in MUTANTS}  # type: ignore[union-attr]
    assert numbers
    assert numbers <= known


def test_the_pages_link_to_each_other() -> None:
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
