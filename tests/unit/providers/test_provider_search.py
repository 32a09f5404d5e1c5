"""Searching behind its interface: full text of files in both languages, and SearXNG over HTTP."""

import asyncio
import importlib.metadata
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tasks.providers.chat import ProviderError, SettingsError
from tasks.providers.choosing import search_from
from tasks.providers.corpus_search import CorpusSearch
from tasks.providers.passages import passages_of
from tasks.providers.search import Found
from tasks.providers.words import words_of
from tests.support.model_server import ModelServer

# An HTML manual that somebody else wrote.
MANUAL = Path(str(importlib.metadata.distribution("pygame-ce").locate_file("pygame/docs/generated")))


def find(settings: Mapping[str, str], query: str, limit: int = 3, deadline: float = 10) -> list[Found]:
    async def main() -> list[Found]:
        async with search_from(settings) as search:
            return await search.find(query, limit=limit, deadline_seconds=deadline)

    return asyncio.run(main())


@pytest.fixture
def corpus(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "apt.md").write_text(
        "# 手順書\n\n## 導入\n\nパッケージを導入するには\n`apt install` を使います。\n\n"
        "## 削除\n\n不要なものは `apt remove` で削除します。\n"
    )
    (tmp_path / "birds.html").write_text(
        "<html><head><title>Birds</title><script>apt install</script></head><body><nav>apt install</nav>"
        "<h1>Flight</h1><p>Birds <b>fly</b> south\nin winter.</p><pre>one\n  two</pre></body></html>"
    )
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "notes.txt").write_text(
        "The capital of installation is the package manager of Debian."
    )
    (tmp_path / "picture.png").write_bytes(b"apt install")
    return {"SEARCH_CORPUS": str(tmp_path)}


def test_japanese_words_of_two_characters_are_found(corpus: dict[str, str]) -> None:
    [best, *_] = find(corpus, "削除の仕方")

    assert (best.address, best.title) == ("apt.md", "手順書: 削除")
    assert "apt remove" in best.text


def test_what_is_not_text_of_the_page_is_not_found(corpus: dict[str, str]) -> None:
    assert {found.address for found in find(corpus, "apt install")} == {"apt.md"}
    assert find(corpus, "zebra") == []
    assert find(corpus, "?! *:()\"'") == []


def test_lines_of_a_paragraph_are_joined_and_those_of_a_program_are_not(corpus: dict[str, str]) -> None:
    [bird] = passages_of(Path(corpus["SEARCH_CORPUS"]) / "birds.html")
    [install, _] = passages_of(Path(corpus["SEARCH_CORPUS"]) / "apt.md")

    assert bird.text.splitlines() == ["Birds fly south in winter.", "one", "  two"]
    assert install.text == "パッケージを導入するには `apt install` を使います。"


def test_a_manual_that_somebody_else_wrote() -> None:
    found = find({"SEARCH_CORPUS": str(MANUAL)}, "rotate an image surface", limit=5)

    assert found[0].score >= found[-1].score > 0
    assert any("transform" in one.address for one in found)
    assert all("rotate" in (one.title + one.text).lower() for one in found[:2])
    taken = [one.address for one in found]
    assert max(map(taken.count, taken)) <= 2


def test_a_search_that_takes_too_long_is_ended(corpus: dict[str, str]) -> None:
    many = Path(corpus["SEARCH_CORPUS"]) / "many.txt"
    many.write_text("\n\n".join(f"word{n % 97} word{n % 89} word{n % 83} " * 9 for n in range(20_000)))

    with pytest.raises(ProviderError) as raised:
        find(corpus, " ".join(f"word{n}" for n in range(40)), deadline=0)
    assert raised.value.kind == "timeout"


def test_closing_ends_the_reading_of_a_large_corpus(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.txt").write_text(f"Some sentence number {number} stands here. " * 200)

    async def main() -> None:
        search = CorpusSearch(str(tmp_path))
        asking = asyncio.create_task(search.find("sentence", limit=1, deadline_seconds=60))
        while threading.active_count() < 2:  # noqa: ASYNC110  (it begins on a thread of its own)
            await asyncio.sleep(0)
        await search.close()
        with pytest.raises(ProviderError, match="closed while it read"):
            await asking

    asyncio.run(main())


def test_a_corpus_in_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="texts")
        client.put_object(Bucket="texts", Key="guides/a/cats.md", Body=b"# Cats\n\nCats sleep all day long.")
        client.put_object(Bucket="texts", Key="other/cats.md", Body=b"# Cats\n\nCats sleep elsewhere, too.")

        [found] = find({"SEARCH_CORPUS": "s3://texts/guides/"}, "cats")
        with pytest.raises(ProviderError) as raised:
            find({"SEARCH_CORPUS": "s3://missing/"}, "cats")

    assert (found.address, found.title) == ("a/cats.md", "Cats")
    assert raised.value.kind == "bad_request"


def test_a_corpus_without_text_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="there is no text in"):
        find({"SEARCH_CORPUS": str(tmp_path)}, "cats")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs SEARCH_CORPUS"),
        ({"SEARCH_CORPUS": "/nowhere/at/all"}, "is no folder"),
        ({"SEARCH_ENGINE": "searxng", "SEARCH_URL": "search"}, "is no address"),
        ({"SEARCH_ENGINE": "oracle"}, "none of corpus, searxng"),
    ],
)
def test_settings_that_make_no_engine_are_said_so(settings: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        search_from(settings)


def test_words_of_both_scripts() -> None:
    assert list(words_of("The \uff21PT packages, 手順書 と class")) == [
        "apt",
        "package",
        "手順",
        "順書",
        "と",
        "class",
    ]


def test_searxng_gives_each_page_once_and_the_best_first() -> None:
    with ModelServer() as server:
        found = find({"SEARCH_ENGINE": "searxng", "SEARCH_URL": server.url + "/"}, "how to", limit=2)

    assert [one.address for one in found] == ["https://example.org/2", "https://example.org/1"]
    assert found[0].text == "how to on page 2."
    assert server.searched == ["how to"]


@pytest.mark.parametrize(
    ("act", "kind"), [("fail", "server"), ("throttle", "throttled"), ("forbid", "auth"), ("hang", "timeout")]
)
def test_searxng_that_fails(act: Any, kind: str) -> None:
    with ModelServer(lambda _: act, results=-1) as server, pytest.raises(ProviderError) as raised:
        find({"SEARCH_ENGINE": "searxng", "SEARCH_URL": server.url}, "how to", deadline=0.5)

    assert raised.value.kind == kind
    assert ("format=json" in raised.value.message) == (act == "forbid")
