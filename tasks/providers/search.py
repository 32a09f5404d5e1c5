"""Searching: the interface, and the choice of an engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from tasks.providers.chat import SettingsError

ENGINES: Final = ("corpus", "searxng")


@dataclass(frozen=True, slots=True)
class Found:
    """One result: title, address (path or URL), the text that matched, how well (more is better)."""

    title: str
    address: str
    text: str
    score: float


class Search(Protocol):
    """Something that finds texts, any number of times at once, from one event loop."""

    @property
    def name(self) -> str:
        """Engine and what it searches."""

    async def find(self, query: str, *, limit: int, deadline_seconds: float) -> list[Found]:
        """At most `limit` results, best first; none is no error. One try, over after `deadline_seconds`.

        Raises:
            tasks.providers.chat.ProviderError: if there is no answer.
        """

    async def close(self) -> None:
        """Give back what is held. Nothing is asked afterwards."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def search_from(settings: Mapping[str, str]) -> Search:
    """The engine that the settings (environment variables, usually) choose.

    - ``SEARCH_ENGINE``: ``corpus`` (the default: full text of files, needs no network) or ``searxng``
    - ``SEARCH_CORPUS``: the folder of text, Markdown and HTML files, or ``s3://bucket/prefix/``
    - ``SEARCH_URL``: of a SearXNG instance that allows ``format=json``
    - ``SEARCH_API_KEY``: sent to it as a bearer token, if there is one

    Call it inside a running event loop.

    Raises:
        SettingsError: if they do not make an engine.
    """
    engine = settings.get("SEARCH_ENGINE", "").strip().lower() or "corpus"
    if engine == "corpus":
        from tasks.providers.corpus_search import CorpusSearch  # noqa: PLC0415  (only the engine in use)

        corpus = settings.get("SEARCH_CORPUS", "").strip()
        if not corpus:
            raise SettingsError("SEARCH_ENGINE=corpus needs SEARCH_CORPUS, the folder of texts to search")
        return CorpusSearch(corpus)
    if engine == "searxng":
        from tasks.providers.web_search import SearxngSearch  # noqa: PLC0415  (only the engine in use)

        url = settings.get("SEARCH_URL", "").strip()
        if not url.startswith(("http://", "https://")):
            raise SettingsError(f"SEARCH_ENGINE=searxng needs SEARCH_URL, and {url!r} is no address")
        return SearxngSearch(url, settings.get("SEARCH_API_KEY", ""))
    raise SettingsError(f"SEARCH_ENGINE={engine!r} is none of {', '.join(ENGINES)}")
