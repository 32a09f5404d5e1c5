"""Cutting a text into words that a search can compare, Japanese and Chinese included."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_CJK: Final = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
# A run of kanji and kana, or a run of letters and digits of a script with spaces.
_RUN: Final = re.compile(rf"(?P<cjk>[{_CJK}]+)|(?P<word>[^\W_{_CJK}]+)")
_LONG_ENOUGH_FOR_A_PLURAL: Final = 4
# Words that are everywhere and tell nothing.
_EMPTY: Final = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "do",
        "for",
        "from",
        "has",
        "have",
        "how",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "was",
        "what",
        "when",
        "where",
        "which",
        "will",
        "with",
        "you",
        "your",
    ]
)


def words_of(text: str) -> Iterator[str]:
    """The words of `text`, folded, with repetition.

    Scripts without spaces come as overlapping pairs of characters (手順書: 手順, 順書), as search engines do
    it that know no dictionary; what has spaces around it as written, without a plural s.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    for match in _RUN.finditer(folded):
        run = match.group()
        if match.lastgroup == "cjk":
            yield from (run[at : at + 2] for at in range(max(1, len(run) - 1)))
        elif run not in _EMPTY:
            plural = len(run) >= _LONG_ENOUGH_FOR_A_PLURAL and run.endswith("s") and not run.endswith("ss")
            yield run[:-1] if plural else run
