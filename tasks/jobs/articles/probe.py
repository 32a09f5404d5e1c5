"""Checking one picture, without any network in it: given the answers so far, what to ask next.

Never HEAD: servers answer it with 405, with 403, or with 200 for files that are not there. The first 2 kB are
asked for by range and looked at; where the format has an end that can be recognised, the last bytes are asked
for too. A server that ignores the range sends everything, and everything is counted.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from tasks.jobs.articles.http_fields import byte_ranges, part_type, retry_after, unpacked
from tasks.jobs.articles.picture_bytes import (
    HEAD,
    LONG_TAIL,
    TAIL,
    identify,
    size_says,
    tail_says,
    whole_says,
)
from tasks.jobs.articles.urls import resolve
from tasks.jobs.articles.verdicts import Finding, Verdict

MOST_REDIRECTS: Final = 10
# A body that is longer is not read to its end.
LONGEST_BODY: Final = 16 << 20


class Trouble(StrEnum):
    """Why there is no (whole) answer."""

    TIMEOUT = "timeout"
    DNS = "dns"
    TLS = "tls"
    REFUSED = "refused"
    RESET = "reset"
    PARTIAL = "partial"
    GARBLED = "garbled"
    BLOCKED = "blocked"


class Ask(NamedTuple):
    """One request to make: bytes `first`..`last` of `url`, or all of it (`first` None).

    With `tail`, so many bytes of its end as well, in the same request. With `etag` or `modified`, only if the
    file is another than the one that had them.
    """

    url: str
    first: int | None = None
    last: int | None = None
    tail: int = 0
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """Make the request after `seconds`; `for_host`: the server asked for this pause."""

    seconds: float
    ask: Ask
    for_host: bool = False


@dataclass(slots=True)  # not frozen: that takes thrice as long to make, and millions are made
class Answer:
    """What came back. `head` and `tail` are the first and last bytes (up to 64 kB each) of `length` bytes.

    Header names are lower case. With `cut`, we stopped reading at LONGEST_BODY, or at once because a server
    sent everything where two ranges were asked for.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    head: bytes = b""
    tail: bytes = b""
    length: int = 0
    cut: bool = False
    trouble: Trouble | None = None
    detail: str = ""

    def header(self, name: str) -> str:
        """A header's value or ""."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to ask again, and how long to wait: seconds."""

    tries: int = 3
    first_pause: float = 0.5
    longest_pause: float = 30.0


_RETRIED: Final = {Trouble.RESET, Trouble.PARTIAL, Trouble.DNS}
_VERDICT_OF_TROUBLE: Final = {
    Trouble.TIMEOUT: Verdict.TIMEOUT,
    Trouble.DNS: Verdict.DNS,
    Trouble.TLS: Verdict.TLS,
    Trouble.REFUSED: Verdict.REFUSED,
    Trouble.RESET: Verdict.RESET,
    Trouble.PARTIAL: Verdict.TRUNCATED,
    Trouble.GARBLED: Verdict.SERVER_ERROR,
    Trouble.BLOCKED: Verdict.BLOCKED,
}
_NOT_MODIFIED: Final = 304
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_CLIENT_VERDICTS: Final = {
    **dict.fromkeys((401, 402, 403, 407, 451), Verdict.FORBIDDEN),
    410: Verdict.GONE,
}
_RANGE_DISLIKED: Final = {400, 405, 416, 501}
_BUSY: Final = {408, 425, 429, 500, 502, 503, 504}
# No number is longer than a file can be: int() refuses thousands of digits.
_CONTENT_RANGE: Final = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18})\Z", re.IGNORECASE | re.ASCII)
_LENGTH: Final = re.compile(r"\d{1,18}\Z", re.ASCII)
_PARTIAL, _REDIRECTION, _CLIENT_ERROR, _RANGE_NOT_SATISFIABLE, _TOO_MANY = 206, 300, 400, 416, 429
_SERVER_ERROR: Final = 500
_NOWHERE: Final[frozenset[str]] = frozenset()


class Probe:
    """The course of one check: `start` gives the first request, `take` turns an answer into what is next.

    `known` is what an earlier check found good: then only a change is asked for. `number` is the caller's.
    `both_ends`: whether the server may be asked for two ranges at once; False afterwards if it turned out
    not to.
    """

    __slots__ = (
        "_at",
        "_failures",
        "_kind",
        "_known",
        "_patience",
        "_ranges",
        "_tail_asked",
        "_total",
        "_visited",
        "both_ends",
        "number",
        "url",
    )

    def __init__(
        self,
        url: str,
        patience: Patience | None = None,
        known: Finding | None = None,
        number: int = 0,
        *,
        both_ends: bool = False,
    ) -> None:
        self.url = url
        self.number = number
        self.both_ends = both_ends
        self._known = known
        self._patience = patience or Patience()
        self._at = url
        self._visited: frozenset[str] = _NOWHERE
        self._failures = 0
        self._ranges = True
        self._kind = ""
        self._total = -1
        self._tail_asked = 0

    def start(self) -> Ask:
        """The first request, to the address and in the way that are known by now."""
        self._tail_asked = 0
        etag = modified = ""
        if self._known is not None and self._asks_for_change():
            etag, modified = self._known.etag, self._known.modified
        if not self._ranges:
            return Ask(self._at, etag=etag, modified=modified)
        return Ask(self._at, 0, HEAD - 1, TAIL if self.both_ends else 0, etag, modified)

    def take(self, answer: Answer) -> Ask | Later | Finding:
        """Go on with an answer to the last request."""
        if answer.trouble is not None and answer.status < _REDIRECTION:
            return self._trouble(answer)
        if answer.status == _PARTIAL:
            return self._part(answer)
        # From here on a body that broke off does not matter, or its headers say enough.
        if answer.status in _REDIRECTS:
            return self._redirect(answer)
        if answer.status == _NOT_MODIFIED and self._asks_for_change():
            return self._known or self._whole(answer)
        if answer.status >= _CLIENT_ERROR:
            return self._refusal(answer)
        return self._whole(answer)

    # -- answers that are no picture

    def _asks_for_change(self) -> bool:
        """Whether the known picture was at the address that is asked now."""
        return self._known is not None and self._at == (self._known.final_url or self.url)

    def _trouble(self, answer: Answer) -> Ask | Later | Finding:
        assert answer.trouble is not None  # noqa: S101  (the caller has looked)
        if answer.trouble in _RETRIED:
            self._failures += 1
            if self._failures < self._patience.tries:
                if answer.trouble is Trouble.PARTIAL:
                    self._ranges = False  # some servers break off only their ranges
                return Later(self._pause(), self.start())
        return self._found(_VERDICT_OF_TROUBLE[answer.trouble], answer, answer.detail)

    def _busy(self, answer: Answer) -> Later | Finding:
        self._failures += 1
        asked = retry_after(answer.header("retry-after"))
        pause = self._pause() if asked is None else asked
        if self._failures < self._patience.tries and pause <= self._patience.longest_pause:
            return Later(pause, self.start(), for_host=asked is not None)
        limited = answer.status == _TOO_MANY
        verdict = Verdict.RATE_LIMITED if limited else Verdict.SERVER_ERROR
        return self._found(verdict, answer, f"Retry-After {asked:g} s" if asked else "")

    def _pause(self) -> float:
        return float(
            min(self._patience.longest_pause, self._patience.first_pause * 2 ** (self._failures - 1))
        )

    def _refusal(self, answer: Answer) -> Ask | Later | Finding:
        if answer.status in _BUSY:
            return self._busy(answer)
        if self.both_ends and answer.status in _RANGE_DISLIKED:
            self.both_ends = False
            return self.start()
        if self._ranges and answer.status in _RANGE_DISLIKED:
            if answer.status == _RANGE_NOT_SATISFIABLE and answer.header("content-range").endswith("/0"):
                return self._found(Verdict.EMPTY, answer)
            self._ranges = False
            return self.start()
        if answer.status >= _SERVER_ERROR:
            return self._found(Verdict.SERVER_ERROR, answer)
        return self._found(_CLIENT_VERDICTS.get(answer.status, Verdict.MISSING), answer)

    def _redirect(self, answer: Answer) -> Ask | Finding:
        target = resolve(answer.header("location"), self._at)
        if target is None:
            return self._found(Verdict.BAD_URL, answer, "a redirect without an address")
        if target.problem:
            return self._found(Verdict.BAD_URL, answer, f"redirected to {target.url}: {target.problem}")
        self._visited |= {self._at}
        if target.url in self._visited or len(self._visited) > MOST_REDIRECTS:
            return self._found(Verdict.REDIRECT_LOOP, answer, f"after {len(self._visited)} addresses")
        self._at = target.url
        return self.start()

    # -- answers with bytes in them

    def _part(self, answer: Answer) -> Ask | Later | Finding:
        packed = bool(answer.header("content-encoding"))
        content_type = answer.header("content-type")
        if self.both_ends and not packed and content_type.startswith("multipart/byteranges"):
            return self._both_ends(answer, content_type)
        matched = None if packed else _CONTENT_RANGE.match(answer.header("content-range"))
        if matched is None:
            if self._ranges:
                # A range that does not say what it is part of proves nothing; one of something packed little.
                self._ranges = self.both_ends = False
                return self.start()
            return self._whole(answer)
        first, last, total = (int(number) for number in matched.groups())
        if answer.length < last - first + 1:
            return self._trouble(Answer(answer.status, answer.headers, trouble=Trouble.PARTIAL))
        if self._tail_asked:
            return self._judge_tail(answer, first, total)
        return self._judge_head(answer, first, total)

    def _judge_head(self, answer: Answer, first: int, total: int) -> Ask | Finding:
        if first != 0:
            self._ranges = self.both_ends = False  # not what was asked for
            return self.start()
        self._total = total
        self._kind = identify(answer.head)
        if not self._kind:
            return self._not_image(answer)
        if first == 0 and total <= answer.length:
            return self._judge(answer, whole=whole_says(self._kind, answer.head[:total]))
        by_size = size_says(self._kind, answer.head, total)
        return self._ask_tail(TAIL) if by_size is None else self._judge(answer, whole=by_size)

    def _both_ends(self, answer: Answer, content_type: str) -> Ask | Finding:
        parts = byte_ranges(answer.head, content_type)
        if len(parts) != 2 or parts[0][0] != 0:  # noqa: PLR2004  (head and tail were asked for)
            self.both_ends = False
            return self.start()
        (_, total, head), (_, _, tail) = parts
        self._total, self._kind = total, identify(head)
        if not self._kind:
            return self._not_image(Answer(answer.status, {"content-type": part_type(answer.head)}, head))
        whole = size_says(self._kind, head, total)
        if whole is None:
            whole = tail_says(self._kind, tail)
        return self._ask_tail(LONG_TAIL) if whole is None else self._judge(answer, whole=whole)

    def _ask_tail(self, length: int) -> Ask:
        self._tail_asked = length
        return Ask(self._at, max(0, self._total - length), self._total - 1)

    def _judge_tail(self, answer: Answer, first: int, total: int) -> Ask | Finding:
        if first == 0 and answer.length >= total:
            return self._judge(answer, whole=whole_says(self._kind, answer.head))
        says = tail_says(self._kind, answer.tail)
        if says is None and self._tail_asked < LONG_TAIL:
            return self._ask_tail(LONG_TAIL)
        return self._judge(answer, whole=bool(says))

    def _whole(self, answer: Answer) -> Ask | Finding:
        """Everything came, because ranges were not asked for or not heeded."""
        if answer.cut and self.both_ends:
            self.both_ends = False  # it may yet heed one range
            return self.start()
        self._total = answer.length
        if answer.length == 0:
            return self._found(Verdict.EMPTY, answer)
        if answer.header("content-encoding") not in {"", "identity"}:
            return self._packed(answer)
        return self._unpacked(answer)

    def _unpacked(self, answer: Answer) -> Finding:
        self._kind = identify(answer.head)
        if not self._kind:
            return self._not_image(answer)
        if answer.cut:
            return self._cut(answer)
        if answer.length <= len(answer.head):
            return self._judge(answer, whole=whole_says(self._kind, answer.head))
        by_size = size_says(self._kind, answer.head, answer.length)
        return self._judge(
            answer, whole=bool(tail_says(self._kind, answer.tail)) if by_size is None else by_size
        )

    def _packed(self, answer: Answer) -> Finding:
        """Sent packed, although that was not asked for: browsers unpack it."""
        encoding = answer.header("content-encoding")
        opened = unpacked(answer.head, encoding)
        if opened is None:
            if not answer.header("content-type").startswith("image/"):
                return self._not_image(answer)
            return self._judge(answer, whole=True, detail=f"sent as {encoding}; not looked into")
        head, ended = opened
        self._kind = identify(head)
        if not self._kind:
            return self._not_image(Answer(answer.status, answer.headers, head))
        seen_whole = answer.length <= len(answer.head)
        return self._judge(answer, whole=ended or not seen_whole)

    def _cut(self, answer: Answer) -> Finding:
        promised = answer.header("content-length")
        if not promised:
            return self._found(Verdict.ENDLESS, answer, f"stopped after {answer.length} bytes")
        self._total = int(promised) if _LENGTH.match(promised) else -1
        return self._judge(answer, whole=True, detail="too long to be read whole")

    def _judge(self, answer: Answer, *, whole: bool, detail: str = "") -> Finding:
        if not whole:
            return self._found(Verdict.TRUNCATED, answer, detail)
        moved = "" if self._at == self.url else self._at
        verdict = Verdict.REDIRECTED if moved else Verdict.OK
        etag, modified = answer.header("etag"), answer.header("last-modified")
        return Finding(verdict, answer.status, self._kind, self._total, moved, detail, etag, modified)

    def _not_image(self, answer: Answer) -> Finding:
        said = answer.header("content-type").partition(";")[0].strip()
        start = answer.head[:256].lstrip().lower()
        what = (
            "an HTML page" if start.startswith((b"<!doctype html", b"<html")) else "no picture format we know"
        )
        return self._found(Verdict.NOT_IMAGE, answer, f"{what}, sent as {said or 'nothing in particular'}")

    def _found(self, verdict: Verdict, answer: Answer, detail: str = "") -> Finding:
        moved = self._at if self._at != self.url else ""
        return Finding(verdict, answer.status, self._kind, self._total, moved, detail)
