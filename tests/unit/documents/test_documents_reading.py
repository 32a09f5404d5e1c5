"""Documents in every form they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.jobs.documents.reading import Document, Fields, Unreadable, read_documents
from tasks.jobs.program import JobError

if TYPE_CHECKING:
    from pathlib import Path

# Two stories in the form of Reuters-21578's own files.
SGML = """<!DOCTYPE lewis SYSTEM "lewis.dtd">
<REUTERS TOPICS="YES" LEWISSPLIT="TRAIN" OLDID="5544" NEWID="1">
<DATE>26-FEB-1987</DATE>
<TOPICS><D>cocoa</D><D>trade</D></TOPICS>
<TEXT>&#2;
<TITLE>BAHIA COCOA REVIEW</TITLE>
<BODY>Showers continued &lt;throughout&gt; the week.
Reuter
&#3;</BODY></TEXT>
</REUTERS>
<REUTERS TOPICS="NO" NEWID="2">
<TOPICS></TOPICS>
<TEXT TYPE="BRIEF"><TITLE>A brief</TITLE></TEXT>
</REUTERS>
"""


def read(path: Path, **fields: str) -> list[Document | Unreadable]:
    return list(read_documents(str(path), Fields(**fields)))


def test_json_lines_with_what_is_wrong_in_them(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = [
        '\ufeff{"id": "a", "text": "日本語", "label": "x", "received": "2026-11-22T00:00:00Z"}',
        "",
        '{"id": 7, "text": "seven", "received": 12.5}',
        '{"text": "without id"}',
        "{",
        "[" * 100_000,
        '{"id": {}, "text": "t"}',
        '{"id": "b", "text": null}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")

    found = read(path)

    assert found[:3] == [
        Document("a", "日本語", "x", 1795305600.0),
        Document("7", "seven", "", 12.5),
        Document("", "without id"),
    ]
    assert [one.place for one in found[3:] if isinstance(one, Unreadable)] == [
        f"in.jsonl:{line}" for line in (5, 6, 7, 8)
    ]


def test_tables_with_columns_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('\ufeffnumber,words,kind\n1,"a, b\nc",x\n2,d,\n', encoding="utf-8")

    assert read(path, id="number", text="words", label="kind") == [
        Document("1", "a, b\nc", "x"),
        Document("2", "d"),
    ]
    with pytest.raises(JobError, match="no column 'text'"):
        read(path)


def test_reuters_sgml(tmp_path: Path) -> None:
    path = tmp_path / "reut2-000.sgm"
    path.write_text(SGML, encoding="latin-1")

    first, second = read(path)

    assert isinstance(first, Document)
    assert (first.id, first.label) == ("1", "cocoa")
    assert first.text.startswith("BAHIA COCOA REVIEW\nShowers continued <throughout> the week.")
    assert second == Document("2", "A brief", "")


def test_a_folder_and_what_is_not_text_in_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.txt").write_text("one")
    (tmp_path / "two.md").write_bytes(b"\xff")
    (tmp_path / "more.jsonl").write_text('{"id": "m", "text": "more"}\n')
    (tmp_path / ".hidden.txt").write_text("no")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")

    found = read(tmp_path)

    assert found == [
        Document("deep/one.txt", "one"),
        Document("m", "more"),
        Unreadable("two.md", "not UTF-8 at byte 0"),
    ]


def test_other_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.xlsx").write_bytes(b"PK")
    with pytest.raises(JobError, match=r"documents are read from folders and \.jsonl"):
        read(tmp_path / "in.xlsx")
    with pytest.raises(JobError, match="No such file"):
        read(tmp_path / "none.jsonl")
