"""What is said of a picture. Words, not booleans: each asks for something else to be done."""

from enum import StrEnum
from typing import Any, NamedTuple


class Verdict(StrEnum):
    """The verdict on one URL."""

    OK = "ok"
    REDIRECTED = "redirected"
    MISSING = "missing"
    GONE = "gone"
    FORBIDDEN = "forbidden"
    NOT_IMAGE = "not_image"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    ENDLESS = "endless"
    TIMEOUT = "timeout"
    DNS = "dns"
    TLS = "tls"
    REFUSED = "refused"
    RESET = "reset"
    REDIRECT_LOOP = "redirect_loop"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    BAD_URL = "bad_url"
    BLOCKED = "blocked"
    HOST_DOWN = "host_down"


GOOD = frozenset({Verdict.OK, Verdict.REDIRECTED})

MEANING = {
    Verdict.OK: "the picture is there, whole",
    Verdict.REDIRECTED: "the picture is there, at another address",
    Verdict.MISSING: "there is nothing at this address",
    Verdict.GONE: "the picture was removed for good",
    Verdict.FORBIDDEN: "the server does not give it to readers",
    Verdict.NOT_IMAGE: "something is there, but it is no picture",
    Verdict.TRUNCATED: "the picture breaks off",
    Verdict.EMPTY: "the file is empty",
    Verdict.ENDLESS: "the server never stops sending",
    Verdict.TIMEOUT: "the picture did not come in time",
    Verdict.DNS: "the host name does not exist",
    Verdict.TLS: "the connection cannot be secured",
    Verdict.REFUSED: "the server refuses connections",
    Verdict.RESET: "the server hung up",
    Verdict.REDIRECT_LOOP: "the address leads in circles",
    Verdict.RATE_LIMITED: "the server wants fewer requests",
    Verdict.SERVER_ERROR: "the server has an error",
    Verdict.BAD_URL: "the address is no web address",
    Verdict.BLOCKED: "the address is inside the network and is not asked",
    Verdict.HOST_DOWN: "the whole host does not answer",
}


class Finding(NamedTuple):
    """The verdict on one URL and what it rests on.

    `status` is the last HTTP status (0: none), `size` in bytes (-1: not known), `kind` the picture's format.
    `etag` and `modified` are what the server gave a good picture, to be asked with the next time.
    """

    verdict: Verdict
    status: int = 0
    kind: str = ""
    size: int = -1
    final_url: str = ""
    detail: str = ""
    etag: str = ""
    modified: str = ""

    @classmethod
    def of(cls, members: dict[str, Any]) -> "Finding":
        """From what `members` gave; others in it do not matter."""
        known = {name: members[name] for name in cls._fields if name in members}
        return cls(**{**known, "verdict": Verdict(members["verdict"])})

    @property
    def good(self) -> bool:
        """Whether a reader sees the picture."""
        return self.verdict in GOOD

    def members(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()
