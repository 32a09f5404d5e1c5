"""What every process of a run is given: the place, the shared memory, the knobs."""

from __future__ import annotations

import mmap
import random
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psutil

from tests.chaos.history import History
from tests.chaos.resources import Clients, Resources
from tests.chaos.wire import Wire, recorded_table

if TYPE_CHECKING:
    from pathlib import Path

    from lock import LockTable
    from tests.chaos.mutants import Mutant
    from tests.chaos.resources import Place

_WORD: Final = struct.Struct("=q")
LEASE_SECONDS: Final = 2.0


class SharedWords:
    """Integers in memory that forked processes share. Each has one writer, or does not mind a lost count."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, count * _WORD.size)

    def __getitem__(self, index: int) -> int:
        value: int = _WORD.unpack_from(self._memory, index * _WORD.size)[0]
        return value

    def __setitem__(self, index: int, value: int) -> None:
        _WORD.pack_into(self._memory, index * _WORD.size, value)


@dataclass(frozen=True)
class Role:
    """What a worker does: on which lock, as a direct holder or as runs with containers."""

    key: str
    runs: bool = False
    waits: bool = False


@dataclass(frozen=True)
class Stage:
    """The run, as every process finds it after its fork.

    The shared words: for every process slot the process id while it is in its section; then for every lock
    how often a holder has shown its token to every resource, who sleeps in its section, and how many of those
    that slept past their lease have been refused by every resource since.
    """

    folder: Path
    place: Place
    roles: tuple[Role, ...]
    seed: int
    lose_reply: float
    lose_request: float
    mutant: Mutant | None
    words: SharedWords = field(default_factory=lambda: SharedWords(256))
    # A worker uses its own, so those of its containers are fresh at their fork.
    _clients: list[Clients] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clients.extend(Clients(self.place) for _ in range(2))

    def clients(self, slot: int) -> Clients:
        """Those of the process in this slot."""
        return self._clients[slot % 3 > 0]

    @property
    def keys(self) -> tuple[str, ...]:
        """The locks of the run."""
        return tuple(dict.fromkeys(role.key for role in self.roles))

    @property
    def slots(self) -> int:
        """One for each worker, and two more for its containers."""
        return 3 * len(self.roles)

    def key_of(self, slot: int) -> str:
        """The lock that a slot's process works under."""
        return self.roles[slot // 3].key

    def working(self) -> dict[int, int]:
        """Slots whose process is in its section, with its id."""
        return {slot: pid for slot in range(self.slots) if (pid := self.words[slot])}

    def enter(self, slot: int, pid: int) -> None:
        """The process is in its section; 0: no longer."""
        self.words[slot] = pid

    def established(self, key: str) -> int:
        """How many holders of this lock have shown their token to every resource."""
        return self.words[self._of(key, 0)]

    def count_established(self, key: str) -> None:
        """One more. Its holder is alone, or else the checks will tell."""
        self.words[self._of(key, 0)] = self.established(key) + 1

    def sleeper(self, key: str) -> int:
        """The process that was stopped in its section, until it has given back its lock; 0: none."""
        return self.words[self._of(key, 1)]

    def sleeps(self, key: str, pid: int) -> None:
        """This process sleeps under this lock; 0: nobody does any more."""
        self.words[self._of(key, 1)] = pid

    def naps(self, key: str) -> int:
        """How many that slept past their lease were refused by every resource since."""
        return self.words[self._of(key, 2)]

    def count_nap(self, key: str) -> None:
        """One more."""
        self.words[self._of(key, 2)] = self.naps(key) + 1

    def _of(self, key: str, what: int) -> int:
        return self.slots + 3 * self.keys.index(key) + what


class Hands:
    """What one process works with; made after its fork."""

    def __init__(self, stage: Stage, slot: int, name: str) -> None:
        self.stage = stage
        self.slot = slot
        self.dice = random.Random()
        self.history = History(stage.folder, name)
        clients = stage.clients(slot)
        client = clients.lock[slot % 2]
        wire = Wire(
            client,
            self.history,
            self.dice,
            lose_reply=stage.lose_reply,
            lose_request=stage.lose_request,
        )
        self.table: LockTable = recorded_table(client, stage.place.table, wire, stage.mutant)
        self.resources = Resources(stage.place, clients)


def identity(pid: int) -> str:
    """A process id with its start, so that a used id is not taken for another process."""
    try:
        return f"{pid}@{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return f"{pid}@gone"


def lives(identified: str) -> bool:
    """Whether that very process still exists; one that only waits to be reaped does nothing any more."""
    pid = int(identified.partition("@")[0])
    try:
        process = psutil.Process(pid)
        return identity(pid) == identified and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
