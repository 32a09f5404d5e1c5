"""The journal: whatever moment a kill comes, each document is settled once, in whole lines."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.jobs.documents.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def contents(journal: Journal) -> list[tuple[int, str]]:
    return [(record["n"], record["v"]) for record in map(json.loads, journal.lines())]


@given(
    st.lists(
        st.tuples(st.integers(0, 39), st.sampled_from(["settle", "rotate", "flush", "kill"])), max_size=80
    )
)
@settings(deadline=None, max_examples=60)
def test_what_was_flushed_survives_and_nothing_is_there_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal, durable, since = Journal(folder, "s", 40), {}, {}
    for place, step in steps:
        if step == "settle":
            fresh = place not in durable and place not in since
            assert journal.settle({"n": place, "v": f"{place}-{len(since)}"}) == fresh
            if fresh:
                since[place] = f"{place}-{len(since)}"
        elif step == "kill":
            # What lies on the disk at this moment is all that the next process finds.
            left, folder = folder, tmp_path_factory.mktemp("journal")
            shutil.copytree(left, folder, dirs_exist_ok=True)
            journal.rotate()
            journal = Journal(folder, "s", 40)
            found = {record["n"]: record["v"] for record in journal.replay()}
            assert durable.items() <= found.items()
            assert found.items() <= (durable | since).items()
            durable, since = dict(found), {}
        else:
            (journal.rotate if step == "rotate" else journal.flush)()
            durable, since = durable | since, {}
    journal.rotate()
    assert contents(journal) == sorted((durable | since).items())
    assert list(journal.open_places()) == [n for n in range(40) if n not in durable | since]


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "s", 3)
    journal.settle({"n": 1, "v": "whole"})
    journal.rotate()
    (tmp_path / "0-00000001.jsonl").rename(tmp_path / "open.jsonl.tmp")
    with (tmp_path / "open.jsonl.tmp").open("ab") as file:
        file.write(b'{"n":2,"v":"ha')
    again = Journal(tmp_path, "s", 3)
    assert [record["n"] for record in again.replay()] == [1]
    assert list(again.open_places()) == [0, 2]


def test_many_files_become_few_and_only_finished_ones_are_seen(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "s", 300)
    for place in range(300):
        journal.settle({"n": place, "v": str(place)})
        journal.rotate()
    assert len(list(tmp_path.iterdir())) <= 1 + 15 + 15 + 15
    assert contents(journal) == [(n, str(n)) for n in range(300)]
    assert journal.oldest_open == 300


def test_a_merge_that_was_cut_off_doubles_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "s", 5)
    for place in (0, 1):
        journal.settle({"n": place, "v": "x"})
        journal.rotate()
    merged = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("0-*.jsonl")))
    (tmp_path / "1-00000001.jsonl").write_bytes(merged)
    again = Journal(tmp_path, "s", 5)
    assert [record["n"] for record in again.replay()] == [0, 1]
    assert contents(again) == [(0, "x"), (1, "x")]


def test_the_journal_of_another_shard_is_not_used(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "one", 5)
    journal.settle({"n": 0, "v": "x"})
    journal.rotate()
    assert list(Journal(tmp_path, "other", 5).replay()) == []
