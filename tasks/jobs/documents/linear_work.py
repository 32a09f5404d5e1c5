"""The documents of a shard through the linear classifier."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from tasks.jobs.documents import settling
from tasks.jobs.documents.journal import Journal
from tasks.jobs.documents.linear import LinearModel
from tasks.jobs.documents.question import Form
from tasks.jobs.documents.settling import Settling
from tasks.jobs.documents.shard import Item, ShardInput
from tasks.jobs.documents.telemetry import Telemetry

_SEAL_PERIOD: Final = 1.0
_DIGITS: Final = 4


def classify(
    model: LinearModel,
    form: Form,
    shard: ShardInput,
    journal: Journal,
    told: Settling,
    telemetry: Telemetry,
    *,
    batch: int,
    stop: Callable[[], bool],
) -> bool:
    """Label every document that is not settled; False if told to stop before the end."""
    sealed = time.monotonic()
    waiting: list[Item] = []
    for place in journal.open_places():
        item = shard.item(place)
        if item.rejected:
            told.dead(item, item.rejected, item.detail)
            continue
        waiting.append(item)
        if len(waiting) < batch:
            continue
        _label(model, form, waiting, told, telemetry)
        waiting = []
        if time.monotonic() - sealed >= _SEAL_PERIOD:
            journal.rotate()
            sealed = time.monotonic()
        telemetry.pulse()
        if stop():
            return False
    if waiting:
        _label(model, form, waiting, told, telemetry)
    return True


def _label(
    model: LinearModel, form: Form, items: Sequence[Item], told: Settling, telemetry: Telemetry
) -> None:
    began = time.perf_counter()
    found = model.predict([item.text for item in items])
    telemetry.request(time.perf_counter() - began)
    for item, (label, likely) in zip(items, found, strict=True):
        answer, problem = form.checked({"label": label})
        if problem:
            # A question whose schema has no such label: the sample and the question do not fit together.
            told.dead(item, settling.INVALID_OUTPUT, problem)
        else:
            told.answer(item, answer, (0, 0), 0.0, {"confidence": round(likely, _DIGITS)})
    told.flush()
