"""The web through a SearXNG instance: a search engine of engines that one can host oneself.

Its JSON answer is ``{"results": [{"url", "title", "content", "score", ...}], ...}``; an instance must allow
the format (``search.formats`` in its settings.yml), else it answers 403.
"""

from typing import Any

from tasks.providers.chat import Closing, ProviderError
from tasks.providers.http import open_session, request_json
from tasks.providers.search import Found


class SearxngSearch(Closing):
    """One instance at `url`. What it returns are snippets, not whole pages."""

    def __init__(self, url: str, api_key: str = "") -> None:
        self._url = url.rstrip("/") + "/search"
        self._headers = {"Accept": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session = open_session()

    @property
    def name(self) -> str:
        """Engine and address."""
        return f"searxng {self._url}"

    async def find(self, query: str, *, limit: int, deadline_seconds: float) -> list[Found]:
        """Search once; see `Search`."""
        try:
            answer = await request_json(
                self._session,
                "GET",
                self._url,
                parameters={"q": query, "format": "json"},
                headers=self._headers,
                deadline_seconds=deadline_seconds,
            )
        except ProviderError as error:
            if error.kind == "auth":
                hint = f"{error.message} (does the instance allow format=json?)"
                raise ProviderError("auth", hint) from None
            raise
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list):
            raise ProviderError("server", "the answer has no list of results")
        found: dict[str, Found] = {}
        for result in results:
            one = _found(result)
            if one is not None:
                found.setdefault(one.address, one)
        return sorted(found.values(), key=lambda one: -one.score)[:limit]

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _found(result: Any) -> Found | None:
    if not isinstance(result, dict):
        return None
    url, title, text = (str(result.get(name) or "") for name in ("url", "title", "content"))
    if not url.startswith(("http://", "https://")) or not text.strip():
        return None
    score = result.get("score")
    return Found(title or url, url, text, float(score) if isinstance(score, (int, float)) else 0.0)
