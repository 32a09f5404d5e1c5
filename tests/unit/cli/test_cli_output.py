from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from nightlatch.cli.output import Column, Output, Seconds
from nightlatch.cli.settings import Color, Format, Settings
from nightlatch.cli.talk import Talk, make_console
from nightlatch.operations.errors import OperationError
from nightlatch.operations.runs import Outcome

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)


class Screen(io.StringIO):
    """A terminal to write on."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Thing:
    name: str
    outcome: Outcome
    at: datetime | None


THINGS = [Thing("a", Outcome.FAILED, NOW), Thing("b" * 90, Outcome.SUCCEEDED, None)]
COLUMNS: list[Column[Thing]] = [
    Column("NAME", lambda thing: thing.name),
    Column("OUTCOME", lambda thing: thing.outcome.value),
    Column("AT", lambda thing: thing.at),
    Column("TOOK", lambda _: Seconds(61)),
]


def write(form: Format, stream: io.StringIO, environ: dict[str, str] | None = None) -> str:
    console = make_console(stream, Color.AUTO, environ or {})
    console.width = 80
    Output(console, form, None, lambda: NOW).records("things", THINGS, COLUMNS, name=lambda thing: thing.name)
    return stream.getvalue()


def test_a_pipe_gets_whole_tab_separated_lines_without_a_head() -> None:
    assert write(Format.TABLE, io.StringIO()).splitlines() == [
        "a\tfailed\t2026-11-21T21:00:00Z\t1 m 1 s",
        "b" * 90 + "\tsucceeded\t-\t1 m 1 s",
    ]


def test_a_terminal_gets_a_table_that_fits() -> None:
    lines = write(Format.TABLE, Screen(), {"NO_COLOR": "1"}).splitlines()

    assert lines[0].split() == ["NAME", "OUTCOME", "AT", "TOOK"]
    assert max(map(len, lines)) <= 80
    assert "0 s ago" in lines[2]


def test_json_is_one_document_with_a_version() -> None:
    assert json.loads(write(Format.JSON, io.StringIO())) == {
        "schema_version": 1,
        "kind": "things",
        "things": [
            {"name": "a", "outcome": "failed", "at": "2026-11-21T21:00:00Z"},
            {"name": "b" * 90, "outcome": "succeeded", "at": None},
        ],
    }


def test_jsonl_is_a_document_a_line() -> None:
    lines = [json.loads(line) for line in write(Format.JSONL, io.StringIO()).splitlines()]

    assert [line["schema_version"] for line in lines] == [1, 1]
    assert [line["kind"] for line in lines] == ["thing", "thing"]


def test_name_is_names_only() -> None:
    assert write(Format.NAME, io.StringIO()).splitlines() == ["a", "b" * 90]


@pytest.mark.parametrize(
    ("color", "environ", "stream", "colored"),
    [
        (Color.AUTO, {}, Screen, "colour"),
        (Color.AUTO, {}, io.StringIO, "plain"),
        (Color.AUTO, {"NO_COLOR": "1"}, Screen, "plain"),
        (Color.AUTO, {"CLICOLOR_FORCE": "1"}, io.StringIO, "colour"),
        (Color.AUTO, {"CLICOLOR_FORCE": "0"}, io.StringIO, "plain"),
        (Color.ALWAYS, {"NO_COLOR": "1"}, io.StringIO, "colour"),
        (Color.NEVER, {"FORCE_COLOR": "1"}, Screen, "plain"),
    ],
)
def test_colour_follows_the_option_then_the_variables(
    color: Color,
    environ: dict[str, str],
    stream: type[io.StringIO],
    colored: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    out = stream()

    make_console(out, color, environ).print("x", style="bold red")

    assert ("\x1b[" in out.getvalue()) is (colored == "colour")


def test_an_error_says_what_why_what_to_try_and_the_request_id_last() -> None:
    out = io.StringIO()
    talk = Talk(make_console(out, Color.AUTO, {}), Settings(quiet=True))

    talk.error(
        OperationError(
            "LOCK-003",
            "report was not started: its lock is held",
            facts=[("held by", "run 1"), ("says", "two\nlines")],
            tries=["nightlatch watch run-1", "nightlatch run report --on-conflict wait"],
            request_id="abc",
        )
    )

    assert out.getvalue().splitlines() == [
        "error[LOCK-003]: report was not started: its lock is held",
        "  held by   run 1",
        "  says      two",
        "            lines",
        "  try       nightlatch watch run-1",
        "            nightlatch run report --on-conflict wait",
        "  more      nightlatch explain LOCK-003",
        "  request   AWS request id abc",
    ]


def test_quiet_silences_notes_and_hints_but_not_warnings() -> None:
    out = io.StringIO()
    talk = Talk(make_console(out, Color.AUTO, {}), Settings(quiet=True))

    talk.note("a")
    talk.hint("b")
    talk.detail("c")
    talk.warning("d")

    assert out.getvalue() == "warning  d\n"


def test_what_nobody_can_confirm_is_refused() -> None:
    talk = Talk(make_console(io.StringIO(), Color.AUTO, {}), Settings(no_input=True))

    assert talk.confirm("sure?", yes=True)
    with pytest.raises(OperationError) as caught:
        talk.confirm("sure?", yes=False)

    assert caught.value.code == "USE-002"
