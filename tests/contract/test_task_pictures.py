"""missing-images against a real server that misbehaves in every way we know, in real processes."""

import csv
import json
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser

from tasks.contract import exit_codes
from tasks.jobs.articles.corpus import locate
from tasks.jobs.articles.misbehaviour import TRUTH
from tests.support.picture_site import Checks, picture_server, pictures, truth

pytestmark = pytest.mark.slow

FORMATS = (
    "_images/project.png",
    "_images/camera_rgb.jpg",
    "_images/tom_basic.webp",
    "_static/searchbar-icon.svg",
)
FAST = ("--timeout", "2", "--allow", "127.0.0.1")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with picture_server("", "--slow", "0.5") as url:
        yield url


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path)


def test_every_kind_of_misbehaviour_in_every_format_gets_its_true_verdict(
    checks: Checks, server: str
) -> None:
    expected = {
        f"{server}kinds/{kind}/{name}": verdict.value for kind, verdict in TRUTH.items() for name in FORMATS
    }
    checks.write_articles(pictures(list(expected)))

    code, text = checks.run("--timeout", "4", "--allow", "127.0.0.1", "--per-host", "64")

    assert code == 0, text
    found = checks.verdicts()
    wrong = {url: (found.get(url), verdict) for url, verdict in expected.items() if found.get(url) != verdict}
    assert wrong == {}


def test_the_real_manual_with_misbehaving_pictures_is_judged_as_the_server_knows(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    with picture_server("", "--misbehave", "0.5", "--seed", "s1", "--slow", "0.2") as url:
        checks.load_folder(locate(), url)
        code, text = checks.run(*FAST)
        true = truth(url)

    assert code == 0, text
    found = checks.verdicts()
    assert len(found) >= 40
    assert found == {picture: true[picture] for picture in found}


def test_nothing_inside_the_network_is_asked_without_leave(checks: Checks, server: str) -> None:
    checks.write_articles(
        pictures([f"{server}_images/project.png", "http://169.254.169.254/a.png", "http://2130706433/b.png"])
    )

    code, text = checks.run("--timeout", "2")

    assert code == 0, text
    assert set(checks.verdicts().values()) == {"blocked"}


def test_a_host_that_refuses_connections_is_given_up_as_one_finding(checks: Checks, server: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        urls = [f"{dead}{number}.png" for number in range(300)]
        checks.write_articles(pictures([*urls, f"{server}_images/project.png"]))

        code, text = checks.run(*FAST, "--cooldown", "0.2")

    assert code == 0, text
    verdicts = checks.verdicts()
    said = [verdicts[url] for url in urls]
    assert said.count("refused") < 30
    assert said.count("refused") + said.count("host_down") == 300
    assert verdicts[f"{server}_images/project.png"] == "ok"


def test_pictures_are_checked_once_however_often_they_are_mentioned(checks: Checks, server: str) -> None:
    good, gone = f"{server}_images/project.png", f"{server}kinds/gone/_images/project.png"
    checks.write_articles(
        pictures([good, gone]), pictures([gone + "#x"]), pictures([good, "data:image/gif,x"])
    )

    code, text = checks.run(*FAST)

    assert code == 0, text
    assert checks.verdicts() == {good: "ok", gone: "gone"}
    with (checks.folder / "output" / "missing-images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["article_url"][-1], row["picture"], row["verdict"]) for row in rows] == [
        ("1", gone, "gone"),
        ("2", gone, "gone"),
    ]
    summary = json.loads((checks.folder / "output" / "missing-images.json").read_text())
    assert (summary["pictures"], summary["references"], summary["bad"], summary["new"]) == (2, 4, 1, 1)


def test_the_page_for_editors_is_one_safe_file(checks: Checks, server: str) -> None:
    nasty = 'http://127.0.0.1:1/"><script>alert(1)</script>.png'
    checks.write_articles(f"<img src='{nasty}'><img src='javascript:x'>", pictures(["=cmd()|x:.png"]))

    code, text = checks.run(*FAST)

    assert code == 0, text
    page = (checks.folder / "output" / "missing-images.html").read_text()
    tree = LexborHTMLParser(page)
    assert tree.css("script") == []
    assert "記事 1 <&>" in tree.css_first("h3").text()
    outside = [node.attributes.get("src") or node.attributes.get("href") for node in tree.css("[src], link")]
    assert outside == []
    assert "\n=cmd" not in (checks.folder / "output" / "missing-images.csv").read_text()


def test_what_was_bad_before_keeps_its_date(checks: Checks, server: str) -> None:
    gone, mended = f"{server}kinds/gone/_images/project.png", f"{server}_images/project.png"
    checks.write_articles(pictures([gone, mended]))
    previous = checks.folder / "previous"
    previous.mkdir()
    was_bad = {url: {"since": "2026-11-01", "checks": 4} for url in (gone, mended)}
    (previous / "since.json").write_text(json.dumps(was_bad))

    code, text = checks.run(*FAST, "--previous", str(previous))

    assert code == 0, text
    summary = json.loads((checks.folder / "output" / "missing-images.json").read_text())
    assert (summary["bad"], summary["new"], summary["mended"], summary["bad_before"]) == (1, 0, 1, 2)
    kept = json.loads((checks.folder / "output" / "state" / "since.json").read_text())
    assert kept == {gone: {"since": "2026-11-01", "checks": 5}}


# -- stopping and going on


def many(server: str) -> list[str]:
    """A few hundred pictures that take a few seconds: every one its own URL."""
    return [
        f"{server}{'kinds/slow/' if number % 3 == 0 else ''}{FORMATS[number % 4]}?{number}"
        for number in range(240)
    ]


def test_sigterm_checkpoints_and_ends_in_two_seconds(checks: Checks, server: str) -> None:
    urls = many(server)
    checks.write_articles(pictures(urls))
    process = checks.start(*FAST)
    _wait(checks.checkpointed)

    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=20)
    took = time.monotonic() - asked

    assert process.returncode == exit_codes.STOPPED, text
    assert took < 10  # 2 s on a quiet machine; the promise is the stop grace
    before = checks.checkpointed()
    assert 0 < len(before) < len(urls)
    code, text = checks.run(*FAST)
    assert code == 0, text
    assert f"going on after {len(before)} pictures" in text
    assert set(checks.verdicts().values()) == {"ok"}
    assert checks.verdicts().keys() == set(urls)


def test_killed_at_random_moments_the_union_of_results_is_the_same(checks: Checks, server: str) -> None:
    urls = many(server)
    checks.write_articles(pictures(urls))
    chance = random.Random(20261121)
    safe: set[str] = set()
    for _ in range(4):
        process = checks.start(*FAST, "--per-host", "4")
        known = len(safe)
        _wait(
            lambda known=known, process=process: (
                len(checks.checkpointed()) > known or process.poll() is not None
            )
        )
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        process.communicate(timeout=20)
        assert safe <= checks.checkpointed()
        safe = checks.checkpointed()
    assert len(safe) < len(urls)

    code, text = checks.run(*FAST)

    assert code == 0, text
    assert f"going on after {len(safe)} pictures" in text
    assert checks.verdicts() == dict.fromkeys(urls, "ok")


def test_before_the_deadline_it_stops_to_be_continued(checks: Checks, server: str) -> None:
    checks.write_articles(pictures([f"{server}kinds/hang/{FORMATS[0]}?{number}" for number in range(50)]))
    deadline = str(int((time.time() + 8) * 1000))

    code, text = checks.run(
        "--allow", "127.0.0.1", environment={"NIGHTLATCH_DEADLINE": deadline, "NIGHTLATCH_STOP_GRACE": "2"}
    )

    assert code == exit_codes.TRY_AGAIN, text
    assert "the next attempt goes on" in text
    assert not (checks.folder / "output" / "missing-images.json").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--concurrency", "0"), "less than 1"),
        (("--timeout", "-1"), "no number of seconds above 0"),
        (("--allow", "10.0.0.0/99"), "is no host name"),
        (("--nonsense",), "unrecognized arguments"),
    ],
)
def test_wrong_options_are_wrong_input(checks: Checks, options: tuple[str, ...], says: str) -> None:
    code, text = checks.run(*options)

    assert code == exit_codes.WRONG_INPUT
    assert says in text
    assert "Traceback" not in text


def test_a_parameter_of_the_run_counts_as_an_option(checks: Checks, server: str) -> None:
    checks.write_articles(pictures([f"{server}kinds/hang/{FORMATS[0]}"]))
    params = json.dumps({"timeout": "1", "allow": "127.0.0.1", "unknown": "x"})

    started = time.monotonic()
    code, text = checks.run(environment={"NIGHTLATCH_PARAMS": params})

    assert code == 0, text
    assert list(checks.verdicts().values()) == ["timeout"]
    assert time.monotonic() - started < 15  # the default would have been 20


def _wait(seen: object) -> None:
    give_up = time.monotonic() + 30
    while not seen():  # type: ignore[operator]
        assert time.monotonic() < give_up
        time.sleep(0.02)
