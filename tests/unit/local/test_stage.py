from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from nightlatch.local.stage import Stage


class Service:
    """A service that says when it has ended, and takes its time for that."""

    def __init__(self, name: str, said: list[str]) -> None:
        self._name = name
        self._said = said

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            self._said.append(self._name)


def test_a_cancelled_nursery_leaves_stages_to_their_order() -> None:
    said: list[str] = []

    async def serve() -> None:
        inner, outer = Stage(), Stage()
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(outer.run, Service("outer", said).run)
                await nursery.start(inner.run, Service("inner", said).run)
                await trio.sleep_forever()
            finally:
                for stage in (inner, outer):
                    await stage.end()

    async def main() -> None:
        with trio.move_on_after(5):
            await serve()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert said == ["inner", "outer"]


def test_a_stage_that_never_started_ends_at_once() -> None:
    async def main() -> None:
        await Stage().end()

    trio.run(main)


def test_the_failure_of_a_service_reaches_its_nursery() -> None:
    async def broken(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise OSError("broken")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(Stage().run, broken))

    with pytest.raises(ExceptionGroup) as failure:
        trio.run(main)
    assert failure.group_contains(OSError, match="broken")
