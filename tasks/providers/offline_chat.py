"""The engine that needs no network: it extracts, it does not write.

It reads the question as `source_block` lays it out, ranks the sentences of the sources against the rest of
the question (BM25 over words and, for Japanese and Chinese, pairs of characters), and answers with the best
of them, in their order, each with the number of its source. It invents nothing, understands nothing, and
says so when no source is given. It is there so that a job runs whole, and is tested whole, without a model.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks.providers.budget import estimated_tokens
from tasks.providers.chat import Closing, ProviderError, Reply, Usage
from tasks.providers.words import words_of

NAME: Final = "offline/extract-1"

_SOURCE: Final = re.compile(r'<source id="(\d+)"[^>]*>\n(.*?)\n</source>', re.DOTALL)
# A sentence ends at Japanese or Western punctuation, or where the line does.
_SENTENCE: Final = re.compile(r"[^\n。!?!?.]*(?:[。!?!?]|\.(?=\s|$)|\.(?=\S)[^\n。!?!?.]*)*", re.MULTILINE)
# What begins a list item, a quotation or a heading, and what divides the cells of a table.
_MARKS: Final = re.compile(r"^(?:(?:[-*+>]|#+|\d+[.)])\s+)+")
_TABLE: Final = re.compile(r"\s*\|\s*")
_SHORTEST: Final = 12
_LONGEST: Final = 600
_SENTENCES: Final = 6
# BM25 as usual.
_K: Final = 1.2
_B: Final = 0.75


def source_block(number: int, title: str, text: str) -> str:
    """One source inside a question, in the form that this engine reads (and that models like as well)."""
    inside = text.replace("</source>", "").strip()
    name = re.sub(r'[\s"<>]+', " ", title).strip()
    return f'<source id="{number}" title="{name}">\n{inside}\n</source>'


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    source: int
    place: int
    words: Counter[str]


class OfflineChat(Closing):
    """Answers with sentences of the sources that are in the question."""

    @property
    def name(self) -> str:
        """Engine and version."""
        return NAME

    async def complete(
        self,
        *,
        system: str,
        user: str,
        max_tokens: int,
        temperature: float = 0.0,  # noqa: ARG002  (nothing here is random)
        json_schema: dict[str, Any] | None = None,
        deadline_seconds: float,  # noqa: ARG002  (it takes milliseconds)
    ) -> Reply:
        """Extract; see `Chat`. With a schema, each text member gets sentences that match its description."""
        question = _SOURCE.sub(" ", user)
        ranking = _Ranking(_sentences(user))
        if not ranking.sentences:
            raise ProviderError(
                "content", "no source was found that could be quoted, and this engine only quotes"
            )
        if json_schema is None:
            text = _quoted(ranking.best(question, _SENTENCES), max_tokens)
        else:
            text = json.dumps(_filled(json_schema, question, ranking), ensure_ascii=False)
        return Reply(text, Usage(estimated_tokens(system + user), estimated_tokens(text)), NAME)


def _sentences(user: str) -> list[_Sentence]:
    found: list[_Sentence] = []
    seen: set[str] = set()
    for number, text in _SOURCE.findall(user):
        for match in _SENTENCE.finditer(text):
            sentence = _TABLE.sub(": ", _MARKS.sub("", " ".join(match.group().split()))).strip(": ")
            if _SHORTEST <= len(sentence) <= _LONGEST and sentence not in seen:
                seen.add(sentence)
                found.append(_Sentence(sentence, int(number), len(found), Counter(words_of(sentence))))
    return found


class _Ranking:
    """Sentences by how well they match a query."""

    def __init__(self, sentences: Sequence[_Sentence]) -> None:
        self.sentences = sentences
        self._mean = sum(sum(one.words.values()) for one in sentences) / len(sentences) if sentences else 1.0
        self._containing = Counter(word for one in sentences for word in one.words)

    def best(self, query: str, count: int, without: frozenset[int] = frozenset()) -> list[_Sentence]:
        """The best `count`, in the order in which they stand."""
        wanted = set(words_of(query))
        free = [one for one in self.sentences if one.place not in without]
        scored = [(self._score(one, wanted), one) for one in free]
        # What has no word in common is quoted only if nothing has.
        fitting = [(score, one) for score, one in scored if score > 0] or scored
        fitting.sort(key=lambda pair: (-pair[0], pair[1].place))
        return sorted((one for _, one in fitting[:count]), key=lambda one: one.place)

    def _score(self, sentence: _Sentence, wanted: set[str]) -> float:
        length = sum(sentence.words.values()) / self._mean
        score = 0.0
        for word in wanted & sentence.words.keys():
            containing, times = self._containing[word], sentence.words[word]
            rarity = math.log(1 + (len(self.sentences) - containing + 0.5) / (containing + 0.5))
            score += rarity * times * (_K + 1) / (times + _K * (1 - _B + _B * length))
        return score


def _quoted(sentences: Sequence[_Sentence], max_tokens: int) -> str:
    lines: list[str] = []
    left = max_tokens
    for one in sentences:
        line = f"- {one.text} [{one.source}]"
        left -= estimated_tokens(line)
        if lines and left < 0:
            break
        lines.append(line)
    return "\n".join(lines)


def _filled(schema: dict[str, Any], question: str, ranking: _Ranking) -> Any:
    """An object of the schema's form whose texts are sentences of the sources, none twice if avoidable."""
    used: set[int] = set()

    def fill(form: dict[str, Any], about: str) -> Any:
        kind = form.get("type")
        if "enum" in form or "const" in form or kind not in {"object", "array", "string"}:
            raise ProviderError(
                "bad_request",
                f"the offline engine only quotes: it cannot choose a value for {about or 'the answer'} "
                f"({json.dumps(form)[:100]})",
            )
        if kind == "object":
            members = form.get("properties", {})
            wanted = form.get("required", list(members))
            return {
                name: fill(members.get(name, {"type": "string"}), f"{about} {name}".strip())
                for name in wanted
            }
        query = f"{question} {about} {form.get('description', '')}"
        if kind == "array":
            items = form.get("items", {"type": "string"})
            count = max(1, int(form.get("minItems", 3)))
            return [fill(items, f"{about} {items.get('description', '')}".strip()) for _ in range(count)]
        chosen = ranking.best(query, 1, frozenset(used)) or ranking.best(query, 1)
        used.update(one.place for one in chosen)
        return f"{chosen[0].text} [{chosen[0].source}]"

    return fill(schema, "")
