"""Publishing to the place a site is served from: immutable parts first, then the entrance by one write.

The entrance is the one file with a fixed name: the index of a sitemap, the first document of a feed. It has
the fencing token as an XML comment, in its bytes and not beside them: so every publication is another version
to the condition of the next one, although nothing else may have changed, and a run that was replaced is
refused.
"""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tasks.contract import exit_codes, variables
from tasks.jobs.articles.site_store import ChangedError, Served, SiteStore, open_site
from tasks.jobs.program import JobError, say

RETIRED: Final = "retired"
"""Member of a job's state: since when which published parts are named by no entrance."""

KEPT: Final = timedelta(days=14)
"""How long a part stays that no entrance names any more: a crawler may take days over an index it has."""

# Our parts: a kind, perhaps numbers, the hash of the content, perhaps the token of a second use.
_NAME: Final = r"[a-z]+-(?:\d+-)?[0-9a-f]{16}(?:-t\d+)?(?:\.[a-z]+)+"
_PART: Final = re.compile(_NAME)
_ANY_PART: Final = re.compile(rb"(?<![A-Za-z0-9.-])" + _NAME.encode())
_COMMENT: Final = re.compile(rb"<!-- nightlatch token (\d+) ")
_TRIES: Final = 8


def publish_site(
    location: str,
    directory: Path,
    entrance: str,
    parts: list[str],
    kinds: frozenset[str],
    retired: Mapping[str, str],
) -> dict[str, str]:
    """Publish `parts` and then `entrance`, which names them, all of `directory`, with this container's token.

    A part may name parts that stand before it. Of `kinds` (the first words of the parts' names) this entrance
    is the only one in the place. `retired` is what the last run returned; returns it for the next one.

    Raises:
        JobError: exit code 75 if a newer run has published, or the place does not answer.
    """
    token = int(os.environ.get(variables.TOKEN, "") or 0)
    site = open_site(location)
    publication = Publication(site, directory, entrance, token)
    publication.publish(parts)
    try:
        left = publication.clear(kinds, retired, datetime.now(UTC))
    except JobError as error:
        say(f"what is no longer named stays: {error}")
        left = dict(retired)
    say(f"published {len(parts)} parts and {site.location}{entrance} (token {token})")
    return left


class Publication:
    """One entrance and its parts on their way to a site."""

    def __init__(self, site: SiteStore, directory: Path, entrance: str, token: int) -> None:
        self._site = site
        self._directory = directory
        self._entrance = entrance
        self._token = token
        self._names: dict[str, str] = {}

    def publish(self, parts: list[str]) -> None:
        """Make the parts readable, then the entrance point to them.

        Raises:
            JobError: as publish_site.
        """
        for _ in range(_TRIES):
            current = self._site.read(self._entrance)
            self._refuse_newer(current)
            named = {it.decode() for it in _ANY_PART.findall(current.body)} if current else set()
            self._names = {}
            for part in parts:
                self._names[part] = self._put(part, named)
            body = self._body()
            try:
                self._site.switch(self._entrance, body, current.tag if current else None)
            except ChangedError:
                # Somebody wrote in between; or it was us, and only the reply was lost.
                now = self._site.read(self._entrance)
                if now is not None and now.body == body:
                    return
                continue
            return
        raise JobError(
            f"{self._site.location}{self._entrance} keeps changing under us; {_TRIES} tries were refused",
            exit_codes.TRY_AGAIN,
        )

    def clear(self, kinds: frozenset[str], retired: Mapping[str, str], now: datetime) -> dict[str, str]:
        """Remove parts that no entrance has named for long; returns since when which others are not named.

        Raises:
            JobError: as publish_site.
        """
        named = set(self._names.values())
        left: dict[str, str] = {}
        old: list[str] = []
        for name in self._site.names():
            if _PART.fullmatch(name) and name.partition("-")[0] in kinds and name not in named:
                since = retired.get(name, now.isoformat(timespec="seconds"))
                if now - datetime.fromisoformat(since) > KEPT:
                    old.append(name)
                else:
                    left[name] = since
        self._site.delete(old)
        return left

    def _put(self, part: str, named: set[str]) -> str:
        """Make one part readable; returns its name: its own, or one with the token of who used it again.

        A part that is there although the entrance does not name it may be about to be removed by a run that
        has been replaced: its name is not used again.
        """
        own = (self._directory / part).read_bytes()
        body = own if part.endswith(".gz") else self._renamed(own)
        stem, dot, endings = part.partition(".")
        if body == own:
            again = re.compile(rf"{re.escape(stem)}(?:-t\d+)?{re.escape(dot + endings)}")
            there = next(filter(again.fullmatch, sorted(named)), None) if part not in named else part
            if there is not None:
                return there
            if self._site.create(part, body):
                return part
        name = f"{stem}-t{self._token}{dot}{endings}"
        self._site.create(name, body)  # if it is there, it is ours
        return name

    def _renamed(self, body: bytes) -> bytes:
        for part, name in self._names.items():
            if name != part:
                body = body.replace(part.encode(), name.encode())
        return body

    def _body(self) -> bytes:
        declaration, newline, rest = self._renamed((self._directory / self._entrance).read_bytes()).partition(
            b"\n"
        )
        others = set(self._names.values()) - {it.decode() for it in _ANY_PART.findall(rest)}
        comment = " ".join([f"<!-- nightlatch token {self._token}", *sorted(others), "-->\n"])
        return declaration + newline + comment.encode() + rest

    def _refuse_newer(self, current: Served | None) -> None:
        found = _COMMENT.search(current.body) if current else None
        if found and int(found[1]) > self._token:
            published = f"{self._site.location}{self._entrance} was published with token {int(found[1])}"
            if not self._token:
                raise JobError(
                    f"{published}, and this run has none: publish through nightlatch, which gives it one"
                )
            raise JobError(
                f"{published}, newer than ours ({self._token}): this run has been replaced",
                exit_codes.TRY_AGAIN,
            )
