"""Kills and pauses processes, preferably in the middle of their work, and puts new ones in their place."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.chaos.stage import LEASE_SECONDS, identity, lives
from tests.chaos.workers import in_child, worker

if TYPE_CHECKING:
    from random import Random

    from tests.chaos.history import History
    from tests.chaos.stage import Stage

_LOOK_SECONDS: Final = 0.005
_TROUBLE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 6 * LEASE_SECONDS


@dataclass(frozen=True)
class Pause:
    """A stopped process; it goes on once another holder has shown its token."""

    pid: int
    key: str
    name: str
    established: int
    since: float


class Chaos:
    """The one that makes the trouble.

    Args:
        stage: the run.
        dice: decides who and what.
        history: of kills, pauses and ends.
    """

    def __init__(self, stage: Stage, dice: Random, history: History) -> None:
        self._stage = stage
        self._dice = dice
        self._history = history
        self._workers: dict[int, int] = {}
        self._pauses: list[Pause] = []
        self._killed_at_work = 0
        self._over = False

    def run(self, seconds: float, enough: int | None) -> float:
        """Make trouble until the time is over or there was enough; returns how long that was."""
        began = time.monotonic()
        for slot in range(0, self._stage.slots, 3):
            self._start(slot)
        next_trouble = began
        try:
            while time.monotonic() - began < seconds and not self._seen(enough):
                self._reap()
                self._wake()
                if time.monotonic() >= next_trouble and self._trouble():
                    next_trouble = time.monotonic() + self._dice.expovariate(1 / _TROUBLE_SECONDS)
                time.sleep(_LOOK_SECONDS)
            took = time.monotonic() - began
        finally:
            self._finish()
        return took

    def _seen(self, enough: int | None) -> bool:
        naps = sum(self._stage.naps(key) for key in self._stage.keys)
        return enough is not None and self._killed_at_work >= enough and naps >= enough

    def _start(self, slot: int) -> None:
        pid = os.fork()
        if pid == 0:
            in_child(lambda: worker(self._stage, slot))
        self._workers[pid] = slot
        self._history.note("started", process=pid, slot=slot)

    def _reap(self) -> None:
        """Put a new worker in the place of every one that has ended."""
        for pid in list(self._workers):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                self._gone(pid, f"ended {status}")

    def _gone(self, pid: int, why: str) -> None:
        self._history.note("gone", process=pid, why=why)
        for pause in [pause for pause in self._pauses if pause.pid == pid]:
            self._pauses.remove(pause)
        for key in self._stage.keys:
            if self._stage.sleeper(key) == pid:
                self._stage.sleeps(key, 0)
        slot = self._workers.pop(pid, None)
        if slot is not None:
            if self._stage.words[slot] == pid:
                self._stage.enter(slot, 0)
            if not self._over:
                self._start(slot)

    def _trouble(self) -> bool:
        """One kill or one pause; False if there is nobody to do it to right now."""
        paused = {pause.key for pause in self._pauses}
        working = self._stage.working()
        if self._dice.random() < 0.2:
            pid = self._dice.choice(list(self._workers))
            if self._stage.key_of(self._workers[pid]) in paused:
                return False
            return self._kill(pid)
        free = [(slot, pid) for slot, pid in working.items() if self._stage.key_of(slot) not in paused]
        if not free:
            return False
        slot, pid = self._dice.choice(free)
        if self._dice.random() < 0.4:
            killed = self._kill(pid)
            if killed:
                self._killed_at_work += 1
                if self._stage.words[slot] == pid:
                    self._stage.enter(slot, 0)
            return killed
        return self._pause(slot, pid)

    def _kill(self, pid: int, why: str = "killed") -> bool:
        name = identity(pid)
        if not lives(name):
            return False
        self._history.note(why, process=pid)
        os.kill(pid, signal.SIGKILL)
        if pid in self._workers:
            os.waitpid(pid, 0)
        while lives(name):
            time.sleep(_LOOK_SECONDS)
        self._gone(pid, why)
        return True

    def _pause(self, slot: int, pid: int) -> bool:
        name, key = identity(pid), self._stage.key_of(slot)
        if not lives(name):
            return False
        os.kill(pid, signal.SIGSTOP)
        self._history.note("paused", process=pid)
        if self._stage.words[slot] != pid:
            # It had just left its section: nothing would come of this.
            os.kill(pid, signal.SIGCONT)
            return False
        self._stage.sleeps(key, pid)
        self._pauses.append(Pause(pid, key, name, self._stage.established(key), time.monotonic()))
        return True

    def _wake(self) -> None:
        """Let everybody go on who was replaced while it slept, or who has slept for long."""
        for pause in list(self._pauses):
            replaced = self._stage.established(pause.key) > pause.established
            gone = not lives(pause.name)
            if not (replaced or gone or time.monotonic() - pause.since > _LONGEST_PAUSE_SECONDS):
                continue
            self._pauses.remove(pause)
            if gone:
                self._stage.sleeps(pause.key, 0)
                continue
            os.kill(pause.pid, signal.SIGCONT)
            self._history.note("woken", process=pause.pid, replaced=replaced)

    def _finish(self) -> None:
        """Everything ends here and now, in the middle of whatever it does; the checks must stand that."""
        self._over = True
        for pid in list(self._workers):
            self._kill(pid, "ended")
        for path in self._stage.folder.glob("containers/*/*"):
            if lives(path.name):
                self._kill(int(path.name.partition("@")[0]), "ended")
