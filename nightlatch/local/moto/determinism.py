"""Makes moto's answers repeatable: the same request, seed and time give the same identifiers and dates.

moto draws identifiers from one seedable generator, but reads the clock and a few other sources of randomness
directly. Inside moto's own modules these names are exchanged for ones that can be held still. Nothing outside
moto is touched.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
import threading
import time
import types
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_real_datetime = dt.datetime
_held: list[float] = []
_seen: set[str] = set()
_replaying: list[bool] = []
# What SNS gives an HTTP endpoint to answer.
_DELIVERY_SECONDS = 15


def _now() -> float:
    return _held[-1] if _held else time.time()


class _DatetimeType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real_datetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real_datetime)


class _Datetime(_real_datetime, metaclass=_DatetimeType):
    """The standard class, but for the question what time it is. Makes ordinary instances."""

    def __new__(cls, *args: Any, **kwargs: Any) -> dt.datetime:  # type: ignore[misc]
        return _real_datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return _real_datetime.fromtimestamp(_now(), tz)

    @classmethod
    def utcnow(cls) -> dt.datetime:  # type: ignore[override]
        return _real_datetime.fromtimestamp(_now(), dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> dt.datetime:  # type: ignore[override]
        return _real_datetime.fromtimestamp(_now())

    @classmethod
    def fromtimestamp(cls, timestamp: float, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return _real_datetime.fromtimestamp(timestamp, tz)

    @classmethod
    def strptime(cls, text: str, layout: str) -> dt.datetime:  # type: ignore[override]
        return _real_datetime.strptime(text, layout)

    @classmethod
    def fromisoformat(cls, text: str) -> dt.datetime:  # type: ignore[override]
        return _real_datetime.fromisoformat(text)

    @classmethod
    def combine(cls, *args: Any, **kwargs: Any) -> dt.datetime:  # type: ignore[override]
        return _real_datetime.combine(*args, **kwargs)


def _copy_of(module: types.ModuleType, **changed: object) -> types.ModuleType:
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update(module.__dict__)
    copy.__dict__.update(changed)
    return copy


def _post(url: str, **given: Any) -> None:
    """Send what moto sends to a topic's HTTP subscriber, beside the engine's queue; nothing in a replay."""
    if not _replaying:
        threading.Thread(target=_deliver, args=(url, given), daemon=True).start()


def _deliver(url: str, given: dict[str, Any]) -> None:
    import requests  # noqa: PLC0415 - loaded with moto

    try:
        requests.post(url, timeout=_DELIVERY_SECONDS, **given)
    except requests.RequestException as error:
        print(f"nightlatch: the subscriber {url} was not reached: {error}", file=sys.stderr)  # noqa: T201 - the server's own log


def _substitutes(generator: random.Random) -> list[tuple[object, object]]:
    import requests  # noqa: PLC0415 - loaded with moto

    return [
        (requests, _copy_of(requests, post=_post)),
        (_real_datetime, _Datetime),
        (dt, _copy_of(dt, datetime=_Datetime)),
        (time, _copy_of(time, time=_now)),
        (time.time, _now),
        (os, _copy_of(os, urandom=generator.randbytes)),
        (os.urandom, generator.randbytes),
        (uuid, _copy_of(uuid, uuid4=generator.uuid4)),  # type: ignore[attr-defined]
        (uuid.uuid4, generator.uuid4),  # type: ignore[attr-defined]
        (random, generator),
    ]


def make_repeatable() -> None:
    """Exchange clock and randomness in the modules of moto that were imported since the last call."""
    from moto.moto_api._internal import mock_random  # noqa: PLC0415 - moto is loaded only when needed

    substitutes: list[tuple[object, object]] | None = None
    for name, module in list(sys.modules.items()):
        if (
            name in _seen
            or not name.startswith("moto.")
            or name.startswith("moto.moto_api._internal.moto_random")
        ):
            continue
        _seen.add(name)
        if substitutes is None:
            substitutes = _substitutes(mock_random)
        for attribute, value in list(vars(module).items()):
            for original, substitute in substitutes:
                if value is original:
                    setattr(module, attribute, substitute)


@contextmanager
def replaying() -> Iterator[None]:
    """Let nothing leave the process: what is replayed was sent when it was new."""
    _replaying.append(True)
    try:
        yield
    finally:
        _replaying.pop()


@contextmanager
def held(at: float, seed: int) -> Iterator[None]:
    """Hold moto's clock at ``at`` and start its random numbers from ``seed``. One thread at a time."""
    from moto.moto_api._internal import mock_random  # noqa: PLC0415 - moto is loaded only when needed

    mock_random.seed(seed)
    _held.append(at)
    try:
        yield
    finally:
        _held.pop()
