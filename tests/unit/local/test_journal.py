from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nightlatch.local.http.message import HttpRequest
from nightlatch.local.moto.journal import Entry, Journal, StorageFullError
from nightlatch.local.state_directory import LocalStartError

if TYPE_CHECKING:
    from pathlib import Path


def _entry(number: int, body: bytes = b"{}") -> Entry:
    request = HttpRequest("POST", f"/?n={number}", (("x-amz-target", "A.B"), ("host", "h")), body)
    return Entry(0, 1.5 + number, number, "dynamodb", "PutItem", "ap-northeast-1", f"s{number}", request)


def test_what_was_appended_comes_back_in_order_after_reopening(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    numbers = [journal.append(_entry(number, bytes([number]) * 10)) for number in range(3)]
    journal.close()
    kept = list(Journal(tmp_path / "j").entries())
    assert kept == [
        replace(_entry(number, bytes([number]) * 10), seq=seq)
        for number, seq in zip(range(3), numbers, strict=True)
    ]


def test_an_append_is_committed_without_any_close(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(_entry(1))
    other = Journal(tmp_path / "j")
    assert len(list(other.entries())) == 1


def test_a_withdrawn_request_is_gone_with_the_next_append_or_close(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.withdraw(journal.append(_entry(1)))
    kept = journal.append(_entry(2))
    assert [entry.seq for entry in journal.entries()] == [kept]
    journal.withdraw(kept)
    journal.close()
    assert list(Journal(tmp_path / "j").entries()) == []


def test_a_full_disk_refuses_the_request_and_keeps_what_is_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(_entry(1))
    journal.limit_pages(8)
    with pytest.raises(StorageFullError, match="nothing changed") as refusal:
        journal.append(_entry(2, b"x" * 100_000))
    assert refusal.value.status == 507
    assert [entry.request.target for entry in journal.entries()] == ["/?n=1"]
    journal.limit_pages(1_000_000)
    journal.append(_entry(3))
    assert [entry.request.target for entry in journal.entries()] == ["/?n=1", "/?n=3"]


def test_a_withdrawal_outlives_a_failed_append(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.withdraw(journal.append(_entry(1)))
    journal.limit_pages(8)
    with pytest.raises(StorageFullError):
        journal.append(_entry(2, b"x" * 100_000))
    assert journal.count() == 0


def test_replace_is_all_or_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    first, second = journal.append(_entry(1)), journal.append(_entry(2))
    bare = HttpRequest("POST", "/", (("host", "h"),))
    journal.replace([first], [(second, bare)], [_entry(3)])
    assert [(entry.seed, entry.request.headers) for entry in journal.entries()] == [
        (2, (("host", "h"),)),
        (3, (("x-amz-target", "A.B"), ("host", "h"))),
    ]


def test_a_replacement_that_finds_no_room_changes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    first = journal.append(_entry(1))
    journal.limit_pages(8)
    before = list(journal.entries())
    with pytest.raises(StorageFullError):
        journal.replace([first], [], [_entry(2, b"x" * 100_000)])
    assert list(journal.entries()) == before


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal._connection.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(LocalStartError, match="local reset"):
        Journal(tmp_path / "j")
