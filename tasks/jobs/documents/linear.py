"""A linear classifier of texts: TF-IDF of words and word pairs, and multinomial logistic regression.

Small, deterministic, thousands of documents a second, no network. It learns from a labelled sample; it
knows the labels that stand there and nothing else.
"""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.jobs.documents.descent import minimise
from tasks.jobs.program import JobError

Floats = NDArray[np.float64]
_VERSION: Final = 1
_WORD: Final = re.compile(r"\w+(?:['\u2019]\w+)?|[!?]+|[^\w\s]")
# Characters without spaces between words: they are cut into pairs instead.
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_LEAST_DOCUMENTS: Final = 2
_MOST_FEATURES: Final = 200_000
# Strength of the penalty, as scikit-learn's C; the tests hold accuracy on published splits.
_C: Final = 10.0
_ROUNDS: Final = 120
_TOLERANCE: Final = 0.002


def features(text: str) -> list[str]:
    """Words and pairs of neighbours; of text without spaces pairs of characters."""
    words = []
    for word in _WORD.findall(text.lower()):
        if _UNSPACED.search(word):
            words += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        else:
            words.append(word)
    return words + [f"{left} {right}" for left, right in pairwise(words)]


@dataclass(frozen=True, slots=True)
class Sparse:
    """`count` rows of few values: value k stands in row `rows[k]`, column `columns[k]`."""

    count: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: Floats

    def times(self, weights: Floats) -> Floats:
        """This (count, features) by `weights` (features, labels)."""
        return _added(self.values, self.columns, self.rows, weights, self.count)

    def across(self, scores: Floats, width: int) -> Floats:
        """The transpose of this (features, count) by `scores` (count, labels)."""
        return _added(self.values, self.rows, self.columns, scores, width)


def _added(
    values: Floats, source: NDArray[np.int64], target: NDArray[np.int64], factors: Floats, size: int
) -> Floats:
    """Row target[k] of the answer has values[k] * factors[source[k]] in it; label by label: fastest."""
    found = np.empty((size, factors.shape[1]))
    for label in range(factors.shape[1]):
        factor = np.ascontiguousarray(factors[:, label])
        found[:, label] = np.bincount(target, values * factor[source], minlength=size)
    return found


class LinearModel:
    """A trained classifier: `labels`, `vocabulary` (feature to column), its weights."""

    def __init__(
        self, labels: Sequence[str], vocabulary: dict[str, int], idf: Floats, weights: Floats, bias: Floats
    ) -> None:
        self.labels = list(labels)
        self._vocabulary = vocabulary
        self._idf = idf
        self._weights = weights
        self._bias = bias

    def predict(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """For each text its likeliest label, and how likely the model holds it (0 to 1)."""
        rows = vectors(texts, self._vocabulary, self._idf)
        likely = _softmax(rows.times(self._weights) + self._bias)
        best = likely.argmax(axis=1)
        return [(self.labels[label], float(likely[row, label])) for row, label in enumerate(best)]

    def dump(self) -> bytes:
        """The model as bytes; equal models give equal bytes."""
        head = {
            "version": _VERSION,
            "labels": self.labels,
            "vocabulary": sorted(self._vocabulary, key=self._vocabulary.__getitem__),
        }
        text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        file = io.BytesIO()
        file.write(len(text).to_bytes(8, "big") + text)
        for part in (self._idf, self._weights, self._bias):
            np.save(file, part.astype(np.float32), allow_pickle=False)
        return file.getvalue()

    @classmethod
    def load(cls, body: bytes) -> "LinearModel":
        """The model of `dump`.

        Raises:
            JobError: if the bytes are none.
        """
        try:
            size = int.from_bytes(body[:8], "big")
            head = json.loads(body[8 : 8 + size].decode("utf-8", "surrogatepass"))
            file = io.BytesIO(body[8 + size :])
            idf, weights, bias = (np.load(file, allow_pickle=False).astype(np.float64) for _ in range(3))
            if head["version"] != _VERSION:
                raise ValueError("another version")  # noqa: TRY301  (one text for every kind of damage)
            vocabulary = {word: column for column, word in enumerate(head["vocabulary"])}
            return cls(head["labels"], vocabulary, idf, weights, bias)
        except (ValueError, KeyError, TypeError, EOFError, OSError) as error:
            raise JobError(f"the stored classifier cannot be read: {error}") from None

    @property
    def digest(self) -> str:
        """The identity of the model."""
        return hashlib.sha256(self.dump()).hexdigest()


def vectors(texts: Sequence[str], vocabulary: dict[str, int], idf: Floats) -> Sparse:
    """Rows of unit length: 1 + log(count), weighted by how rare a feature is."""
    lengths: list[int] = []
    columns: list[int] = []
    counts: list[int] = []
    for text in texts:
        found = Counter(features(text))
        known = sorted((vocabulary[word], count) for word, count in found.items() if word in vocabulary)
        columns += [column for column, _ in known]
        counts += [count for _, count in known]
        lengths.append(len(known))
    rows = np.repeat(np.arange(len(texts)), lengths)
    which = np.array(columns, dtype=np.int64)
    values = (1.0 + np.log(np.array(counts, dtype=np.float64))) * idf[which]
    norms = np.sqrt(np.bincount(rows, values**2, minlength=len(texts)))
    norms[norms == 0] = 1.0
    return Sparse(len(texts), rows, which, values / norms[rows])


def train(sample: Iterable[tuple[str, str]], heed: Callable[[], None] = lambda: None) -> LinearModel:
    """Learn from (text, label) pairs. `heed` is called again and again, and may raise to end it.

    Raises:
        JobError: if there are not two labels.
    """
    texts, answers = [], []
    for text, label in sample:
        texts.append(text)
        answers.append(label)
    labels = sorted(set(answers))
    if len(labels) < 2:  # noqa: PLR2004  (one label leaves nothing to tell apart)
        raise JobError(
            f"the labelled sample has {len(labels)} labels ({len(texts)} documents); two are needed"
        )
    seen: Counter[str] = Counter()
    for text in texts:
        heed()
        seen.update(set(features(text)))
    often = [(-count, word) for word, count in seen.items() if count >= _LEAST_DOCUMENTS]
    words = sorted(word for _, word in sorted(often)[:_MOST_FEATURES])
    if not words:
        raise JobError("no word of the labelled sample occurs in two of its documents: nothing can be learnt")
    vocabulary = {word: column for column, word in enumerate(words)}
    counts = np.array([seen[word] for word in words], dtype=np.float64)
    idf = np.log((1.0 + len(texts)) / (1.0 + counts)) + 1.0
    index = {label: number for number, label in enumerate(labels)}
    right = np.array([index[label] for label in answers])
    weights, bias = _fit(vectors(texts, vocabulary, idf), right, len(labels), len(words), heed)
    return LinearModel(labels, vocabulary, idf, weights, bias)


def _fit(
    rows: Sparse, right: NDArray[Any], labels: int, width: int, heed: Callable[[], None]
) -> tuple[Floats, Floats]:
    """The weights that minimise C * log loss + |weights|^2 / 2, and the bias, which is not penalised."""
    count = len(right)
    wanted = np.zeros((count, labels))
    wanted[np.arange(count), right] = 1.0

    def loss(flat: Floats) -> tuple[float, Floats]:
        heed()
        weights, bias = flat[: width * labels].reshape(width, labels), flat[width * labels :]
        likely = _softmax(rows.times(weights) + bias)
        value = -_C * float(np.log(likely[np.arange(count), right] + 1e-300).sum())
        off = _C * (likely - wanted)
        slope = np.concatenate([(rows.across(off, width) + weights).ravel(), off.sum(axis=0)])
        return value + 0.5 * float((weights**2).sum()), slope

    flat = minimise(loss, np.zeros(width * labels + labels), _ROUNDS, _TOLERANCE)
    return flat[: width * labels].reshape(width, labels), flat[width * labels :]


def _softmax(scores: Floats) -> Floats:
    raised: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised
