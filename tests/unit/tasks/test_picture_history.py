"""What one night leaves for the next, and the findings of a run."""

import io
from pathlib import Path

import pytest

from tasks.jobs.articles.database import Article
from tasks.jobs.articles.extraction import Reference
from tasks.jobs.articles.finding_files import FindingFiles
from tasks.jobs.articles.history import NIGHTS_KEPT, History, Trouble, extended, write_known
from tasks.jobs.articles.report_page import write_page
from tasks.jobs.articles.urls import Address
from tasks.jobs.articles.verdicts import Finding, Verdict
from tasks.jobs.articles.work import Pending, Work

A, B, C = (f"https://a.example/{name}.png" for name in "abc")


def night(day: str, bad: int = 1, new: int = 0) -> dict[str, object]:
    return {"checked_on": day, "pictures": 10, "bad": bad, "new": new, "mended": 0}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / "work.sqlite")
    article = Article("1", "https://www.example.com/1", "一", "", None, None)
    work.add_article(article, [(Address(url, "a.example"), Reference("src", url)) for url in (A, B, C)])
    return work


def test_a_first_night_has_no_history() -> None:
    history = History(None)

    assert (list(history.troubles()), list(history.known()), history.trend()) == ([], [], [])


def test_the_trend_keeps_so_many_nights_and_one_of_each_day() -> None:
    nights = [night(f"{number}") for number in range(NIGHTS_KEPT + 5)]

    assert extended(nights, night("x"))[-1]["checked_on"] == "x"
    assert len(extended(nights, night("x"))) == NIGHTS_KEPT
    again = extended(extended([], night("x", bad=5)), night("x", bad=7))
    assert [entry["bad"] for entry in again] == [7]


def test_only_pictures_with_a_validator_are_kept_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    def written() -> bytes:
        file = io.BytesIO()
        tagged = {"verdict": "ok", "etag": '"x"', "checked": 5}
        write_known(file, iter([(A, tagged), (B, {"verdict": "ok", "etag": "", "modified": ""})]))
        return file.getvalue()

    assert written() == written()
    (tmp_path / "known.jsonl.gz").write_bytes(written())
    assert list(History(tmp_path).known()) == [(A, {"verdict": "ok", "etag": '"x"', "checked": 5})]


def test_what_is_fresh_counts_as_checked_and_what_is_older_is_known(work: Work) -> None:
    said = {**Finding(Verdict.OK, etag='"1"').members(), "checked": 100}

    assert work.add_known(A, said, fresh_after=99)
    assert not work.add_known(B, said, fresh_after=100)

    with work.lent():
        left = Pending(work.path).pending("a.example", 0, 10)
    assert [(url, known and known.etag) for _, url, known in left] == [(B, '"1"'), (C, None)]


def test_a_finding_of_tonight_is_not_replaced_by_one_of_last_night(work: Work) -> None:
    work.add_finding(A, Finding(Verdict.GONE).members())

    assert not work.add_known(A, {**Finding(Verdict.OK).members(), "checked": 100}, fresh_after=0)
    assert work.verdicts() == {"gone": 1}


def test_bad_pictures_get_their_date_and_a_number_of_checks(work: Work) -> None:
    work.add_finding(A, Finding(Verdict.GONE).members())
    work.add_finding(B, Finding(Verdict.MISSING).members())
    work.add_finding(C, Finding(Verdict.OK).members())
    work.add_trouble_before(B, Trouble("2026-11-01", 3))
    work.add_trouble_before(C, Trouble("2026-11-01", 3))

    counted = work.date_troubles("2026-11-22")

    assert counted == {"bad": 2, "new": 1, "mended": 1, "bad_before": 2}
    assert list(work.troubles()) == [(A, Trouble("2026-11-22", 1)), (B, Trouble("2026-11-01", 4))]


def test_the_page_shows_a_trend_of_two_nights_and_more() -> None:
    summary = {
        **night("2026-11-22"),
        **dict.fromkeys(("articles", "references"), 1),
        "verdicts": {"ok": 9, "gone": 1},
        "trend": [night("2026-11-22")],
    }

    def page() -> str:
        file = io.StringIO()
        write_page(file, iter([]), summary, {}, 10)
        return file.getvalue()

    assert "<svg" not in page()
    summary["trend"] = [night("2026-11-20", bad=30, new=30), night("2026-11-21", bad=15, new=1)]
    drawn = page()
    assert "2026-11-20: 30 bad, 30 new, 0 mended" in drawn
    assert drawn.count('class="b"') == 2
    assert 'height="80.0"' in drawn
    assert 'height="40.0"' in drawn


def test_finding_files_of_two_processes_do_not_meet(tmp_path: Path) -> None:
    reader = FindingFiles(tmp_path)
    for number, url in enumerate((A, B)):
        part = FindingFiles(tmp_path, number, reader.attempt)
        part.add(url, Finding(Verdict.OK))
        part.write()

    assert {url for url, _ in reader.read()} == {A, B}
    assert list(reader.read()) == []
    again = list(FindingFiles(tmp_path).read())
    assert [members["verdict"] for _, members in again] == ["ok", "ok"]
    assert all("checked" in members for _, members in again)


def test_findings_are_noted_by_number_only_in_the_attempt_that_numbered_them(
    work: Work, tmp_path: Path
) -> None:
    numbers = {url: number for number, url, _ in pending(work)}
    former = FindingFiles(tmp_path / "checkpoint")
    former.add(A, Finding(Verdict.GONE), numbers[B])  # it had other numbers: there were other articles
    former.add("https://a.example/unknown.png", Finding(Verdict.OK), numbers[C])
    former.write()
    files = FindingFiles(tmp_path / "checkpoint")

    assert work.note(files.batches()) == 1
    files.add(B, Finding(Verdict.MISSING), numbers[B])
    files.write()
    assert work.note(files.batches()) == 1

    assert {url: finding["verdict"] for url, finding in work.findings()} == {A: "gone", B: "missing"}
    assert work.verdicts() == {"gone": 1, "missing": 1}
    assert work.checked() == (2, 3)


def pending(work: Work) -> list[tuple[int, str, Finding | None]]:
    with work.lent():
        left = Pending(work.path)
        return [picture for host in left.hosts() for picture in left.pending(host, 0, 10)]
