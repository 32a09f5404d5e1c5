"""missing-images night after night: what is asked again, what the report remembers, two processes."""

import base64
import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser

from tasks.contract import exit_codes
from tests.support.picture_site import Checks, asked, picture_server, pictures

pytestmark = pytest.mark.slow

PNG, JPEG = "_images/project.png", "_images/camera_rgb.jpg"
FAST = ("--timeout", "2", "--allow", "127.0.0.0/8", "--processes", "1")


class Nights(Checks):
    """Night after night, each with a checkpoint of its own and what the night before left."""

    def night(self, day: str, *options: str) -> dict[str, Any]:
        shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
        previous = self.folder / "previous"
        shutil.rmtree(previous, ignore_errors=True)
        if (self.folder / "output" / "state").exists():
            shutil.copytree(self.folder / "output" / "state", previous)
            options = (*options, "--previous", str(previous))
        code, text = self.run(*FAST, *options, environment={"NIGHTLATCH_SCHEDULED_TIME": f"{day}T23:00:00Z"})
        assert code == exit_codes.DONE, text
        return self.summary()

    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.folder / "output" / "missing-images.json").read_text())
        return summary

    def page(self) -> LexborHTMLParser:
        return LexborHTMLParser((self.folder / "output" / "missing-images.html").read_text())


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_the_second_night_asks_for_changes_only_and_not_for_what_is_fresh(nights: Nights) -> None:
    with picture_server() as url:
        urls = [f"{url}{name}?{number}" for number in range(20) for name in (PNG, JPEG)]
        gone = f"{url}kinds/gone/{PNG}"
        nights.write_articles(pictures([*urls, gone]))

        nights.night("2026-11-20")
        first = asked(url)
        nights.night("2026-11-21", "--fresh-for", "0")
        second = asked(url)
        nights.night("2026-11-22", "--fresh-for", "12")
        third = asked(url)

    assert first["unchanged"] == 0
    assert first["requests"] == 41, "both ends of a picture are one request"
    assert second["requests"] - first["requests"] == 41
    assert second["unchanged"] == 40
    assert third["requests"] - second["requests"] == 1, "what is bad is asked for every night"
    assert nights.verdicts() == {**dict.fromkeys(urls, "ok"), gone: "gone"}


def test_a_picture_that_changed_is_judged_anew(nights: Nights, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with picture_server() as real:
        for name in (PNG, JPEG):
            (root / Path(name).name).write_bytes(urllib.request.urlopen(real + name, timeout=10).read())
    (root / "index.html").write_text("<p>x")
    with picture_server(str(root)) as url:
        png, jpeg = (url + Path(name).name for name in (PNG, JPEG))
        nights.write_articles(pictures([png, jpeg]))
        nights.night("2026-11-20")
        whole = (root / "project.png").read_bytes()
        (root / "project.png").write_bytes(whole[: len(whole) // 2])

        nights.night("2026-11-21", "--fresh-for", "0")

        assert asked(url)["unchanged"] == 1
    assert nights.verdicts() == {png: "truncated", jpeg: "ok"}


def test_the_report_shows_the_trend_and_what_is_there_of_a_picture(nights: Nights) -> None:
    with picture_server() as url:
        cut, gone = f"{url}kinds/truncated/{JPEG}", f"{url}kinds/gone/{PNG}"
        good = f"{url}{PNG}"
        nights.write_articles(pictures([gone, good]))
        nights.night("2026-11-20")
        nights.write_articles(pictures([good, cut, gone]))
        nights.night("2026-11-21")
        nights.write_articles(pictures([good, cut]))
        summary = nights.night("2026-11-22")

    told = [(night["checked_on"], night["bad"], night["new"], night["mended"]) for night in summary["trend"]]
    assert told == [("2026-11-20", 1, 1, 0), ("2026-11-21", 2, 1, 0), ("2026-11-22", 1, 0, 1)]
    page = nights.page()
    assert [node.text() for node in page.css("svg.trend title")][1] == "2026-11-21: 2 bad, 1 new, 0 mended"
    (thumbnail,) = (node.attributes["src"] for node in page.css("section img"))
    assert thumbnail is not None
    kind, _, data = thumbnail.partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(data).startswith(b"\xff\xd8\xff")
    (row,) = page.css("section tr")
    assert "since 2026-11-21, 2 checks" in row.text()


def test_two_processes_find_what_one_finds_and_share_the_hosts(nights: Nights, tmp_path: Path) -> None:
    two = Nights(tmp_path / "two")
    two.folder.mkdir()
    with picture_server("", "--hosts", "3") as url:
        port = url.rsplit(":", 1)[1]
        sites = [f"http://127.0.0.{number}:{port}" for number in range(1, 4)]
        names = [PNG, JPEG, f"kinds/gone/{PNG}", f"kinds/truncated/{JPEG}", f"kinds/redirect/{PNG}"]
        urls = [f"{site}{name}?{number}" for site in sites for name in names for number in range(8)]
        for each in (nights, two):
            each.write_articles(pictures(urls))
        nights.night("2026-11-20")
        two.night("2026-11-20", "--processes", "2")

    assert two.verdicts() == nights.verdicts()
    assert len(two.verdicts()) == len(urls)
    parts = {path.name.split("-")[2] for path in (two.folder / "checkpoint").glob("findings-*.tsv")}
    assert parts == {"0", "1"}
    assert (two.folder / "output" / "missing-images.csv").read_bytes() == (
        nights.folder / "output" / "missing-images.csv"
    ).read_bytes()
