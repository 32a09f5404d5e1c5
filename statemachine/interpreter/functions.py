"""The functions that Step Functions adds to JSONata, and the ones it changes.

Chance and time come from outside, so that a simulation repeats itself exactly.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from jsonata.functions import Functions
from jsonata.jsonata import Jsonata
from jsonata.signature import Signature
from jsonata.utils import Utils

from statemachine.interpreter.clock import Clock, iso_time
from statemachine.interpreter.expression import Frame, plain

# Measured on AWS: one element more exceeds the memory limit of an evaluation.
RANGE_LIMIT = 360_145
_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_SIGNATURES = {
    "parse": Signature("<s-:x>", "parse"),
    "partition": Signature("<an?:a>", "partition"),
    "range": Signature("<nnn?:x>", "range"),
    "hash": Signature("<s-s?:s>", "hash"),
    "random": Signature("<n?:n>", "random"),
    "uuid": Signature("<:s>", "uuid"),
    "millis": Signature("<:n>", "millis"),
    "now": Signature("<s?s?:s>", "now"),
    "string": Signature("<x-b?:s>", "string"),
    "shuffle": Signature("<a:a>", "shuffle"),
}


class _Function(Jsonata.JFunction):  # type: ignore[misc]  # the library ships no types
    """A native function with a ready-made signature; missing arguments arrive as None (undefined)."""

    def __init__(self, name: str, implementation: Callable[..., Any], arity: int) -> None:
        super().__init__(None, None)
        self.signature = _SIGNATURES[name]
        self.function_name = name
        self._implementation = implementation
        self._arity = arity

    def call(self, _input: Any, args: Sequence[Any] | None) -> Any:
        given = list(args or ())[: self._arity]
        return self._implementation(*given, *[None] * (self._arity - len(given)))

    def get_number_of_args(self) -> int:
        return self._arity


def functions_frame(clock: Clock, random: Random) -> Frame:
    """The outermost frame of an execution's expressions."""
    implementations: dict[str, tuple[Callable[..., Any], int]] = {
        "parse": (_parse, 1),
        "partition": (_partition, 2),
        "range": (_range, 3),
        "hash": (_hash, 2),
        "random": (lambda seed: (random if seed is None else Random(_whole(seed))).random(), 1),
        "uuid": (lambda: str(uuid.UUID(int=random.getrandbits(128), version=4)), 0),
        "millis": (lambda: int(clock.now() * 1000), 0),
        "now": (lambda picture, zone: _now(clock, picture, zone), 2),
        "string": (_string, 2),
        "shuffle": (lambda items: items and random.sample(list(items), len(items)), 1),
    }
    frame = Frame(Jsonata.static_frame)
    frame.bindings = {name: _Function(name, *parts) for name, parts in implementations.items()}
    return frame


def _whole(number: float) -> int:
    return math.trunc(number)


def _parse(text: str | None) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the argument of $parse is not JSON: {error}") from error
    return Utils.NULL_VALUE if value is None else value


def _partition(items: list[Any] | None, size: float | None) -> Any:
    if not items or size is None or _whole(size) < 1:
        return None
    count = _whole(size)
    members = list(items)
    return [members[start : start + count] for start in range(0, len(members), count)]


def _range(start: float | None, end: float | None, step: float | None) -> Any:
    if start is None or end is None or step is None:
        return None
    first, last, by = _whole(start), _whole(end), _whole(step)
    if by == 0:
        return None
    numbers = range(first, last + (1 if by > 0 else -1), by)
    if len(numbers) > RANGE_LIMIT:
        raise ValueError("Expression evaluation memory limit exceeded: Check for excessive memory usage")
    return Utils.create_sequence_from_iter(numbers)


def _hash(text: str | None, algorithm: str | None) -> Any:
    if text is None or algorithm is None:
        return None
    if algorithm not in _HASHES:
        raise ValueError(f"{algorithm!r} is not one of {', '.join(_HASHES)}")
    return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _now(clock: Clock, picture: str | None, zone: str | None) -> str:
    moment = clock.now()
    if picture is None and zone is None:
        return iso_time(moment)
    return str(Functions.datetime_from_millis(int(moment * 1000), picture, zone))


def _string(value: Any, prettify: bool | None) -> Any:  # noqa: FBT001 - JSONata's own signature
    # The library escapes every character beyond ASCII inside objects, which JSONata does not.
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, (dict, list)):
        return Functions.string(value, prettify)
    if isinstance(value, Utils.JList) and value.outer_wrapper:
        return _string(value[0], prettify)
    separators, indent = ((",", ": "), 2) if prettify else ((",", ":"), None)
    return json.dumps(plain(value), ensure_ascii=False, separators=separators, indent=indent)
