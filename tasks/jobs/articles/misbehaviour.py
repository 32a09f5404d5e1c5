"""The ways in which the picture server misbehaves, and what a checker ought to say of each."""

import hashlib
from typing import Final

from tasks.jobs.articles.verdicts import Verdict

# Each kind with the verdict that is true of it. "redirect" and others lead to the same picture, served well.
TRUTH: Final[dict[str, Verdict]] = {
    "missing": Verdict.MISSING,
    "gone": Verdict.GONE,
    "forbidden": Verdict.FORBIDDEN,
    "slow": Verdict.OK,
    "hang": Verdict.TIMEOUT,
    "drip": Verdict.TIMEOUT,
    "endless": Verdict.ENDLESS,
    "truncated": Verdict.TRUNCATED,
    "short-body": Verdict.TRUNCATED,
    "cut-off": Verdict.TRUNCATED,
    "empty": Verdict.EMPTY,
    "lie": Verdict.NOT_IMAGE,
    "soft-404": Verdict.NOT_IMAGE,
    "text": Verdict.NOT_IMAGE,
    "redirect": Verdict.REDIRECTED,
    "redirect-temporary": Verdict.REDIRECTED,
    "redirect-loop": Verdict.REDIRECT_LOOP,
    "redirect-nowhere": Verdict.BAD_URL,
    "redirect-inside": Verdict.BLOCKED,
    "redirect-unknown-host": Verdict.DNS,
    "redirect-refused": Verdict.REFUSED,
    "redirect-no-tls": Verdict.TLS,
    "unavailable": Verdict.SERVER_ERROR,
    "unavailable-twice": Verdict.OK,
    "too-many": Verdict.RATE_LIMITED,
    "too-many-once": Verdict.OK,
    "reset": Verdict.RESET,
    "no-range": Verdict.OK,
    "no-length": Verdict.OK,
    "range-refused": Verdict.OK,
    "one-range": Verdict.OK,
    "two-ranges-refused": Verdict.OK,
    "head-405": Verdict.OK,
    "octet-stream": Verdict.OK,
    "hangs-after-404": Verdict.MISSING,
    "garbage": Verdict.SERVER_ERROR,
    "endless-headers": Verdict.SERVER_ERROR,
    "dripping-headers": Verdict.TIMEOUT,
    "redirect-chain": Verdict.REDIRECT_LOOP,
    "wrong-range": Verdict.OK,
    "packed": Verdict.OK,
    "packed-cut": Verdict.TRUNCATED,
    "packed-page": Verdict.NOT_IMAGE,
}
KINDS: Final = tuple(TRUTH)
GOOD: Final = "good"
# A path below this has the misbehaviour that it names: /kinds/KIND/path/of/the/picture.png
FORCED: Final = "kinds"


def kind_of(path: str, share: float, kinds: tuple[str, ...], seed: str) -> str:
    """What happens to `path`: `share` of all paths misbehave, always the same ones for the same seed."""
    digest = hashlib.sha256(f"{seed}\n{path}".encode()).digest()
    if int.from_bytes(digest[:6], "big") >= share * 2**48:
        return GOOD
    return kinds[int.from_bytes(digest[6:12], "big") % len(kinds)]


def true_verdict(kind: str) -> Verdict:
    """What ought to be said of a picture that is served in this way."""
    return TRUTH.get(kind, Verdict.OK)
