"""The check itself, in one process or in several that share the hosts among them."""

import errno
import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Final

from tasks.contract import exit_codes
from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.checking import Checker
from tasks.jobs.articles.finding_files import FindingFiles
from tasks.jobs.articles.host import Politeness
from tasks.jobs.articles.probe import Patience
from tasks.jobs.articles.transport import Timeouts, Transport
from tasks.jobs.articles.verdicts import Finding
from tasks.jobs.articles.work import Pending, Work
from tasks.jobs.program import JobError, ProgressLines, StopRequest

# Findings are made safe when there are so many, or after so many seconds, whichever is first.
_BATCH: Final = 2_000
_BATCH_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.2
_OBJECTS_TO_COLLECT: Final = 100_000
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# The deadline is the state machine's; we end this much before it, with the findings safe, to be continued.
_BEFORE_DEADLINE: Final = 2.0


class Watch:
    """Whether to stop: because of SIGTERM, or because the deadline is near."""

    def __init__(self, request: StopRequest, deadline: float | None, grace: float) -> None:
        self._request = request
        self._ends_at = None if deadline is None else deadline - grace - _BEFORE_DEADLINE

    def __call__(self) -> bool:
        """Whether to stop now."""
        return self._request.requested or self.deadline_is_near()

    def deadline_is_near(self) -> bool:
        """Whether there is just time enough to put things away."""
        return self._ends_at is not None and time.time() >= self._ends_at


@dataclass(frozen=True, slots=True)
class Means:
    """With what pictures are asked for."""

    guard: AddressGuard
    timeouts: Timeouts
    user_agent: str
    concurrency: int
    politeness: Politeness
    patience: Patience

    def transport(self, share: int = 1) -> Transport:
        """A transport for one of `share` processes."""
        return Transport(self.guard, self.timeouts, self.user_agent, self._most(share))

    def checker(
        self,
        pending: Pending,
        transport: Transport,
        stop: Callable[[], bool],
        found: Callable[[int, str, Finding], None],
        share: int,
    ) -> Checker:
        """A checker for one of `share` processes."""
        politeness = self.politeness
        if share > 1:
            politeness = replace(politeness, processes=share, own=frozenset(pending.hosts()))
        return Checker(
            pending,
            transport,
            most=self._most(share),
            politeness=politeness,
            patience=self.patience,
            stop=stop,
            found=found,
        )

    def processes(self, wanted: int, hosts: int) -> int:
        """How many processes can share so many hosts within every host's connections."""
        fewest = min([self.politeness.connections, *self.politeness.special.values()])
        return max(1, min(wanted, hosts, fewest, self.concurrency))

    def _most(self, share: int) -> int:
        return max(1, self.concurrency // share)


def check(
    pending: Pending,
    files: FindingFiles,
    means: Means,
    stop: Callable[[], bool],
    tell: Callable[[int], None],
    share: int = 1,
) -> None:
    """Check what is left, making the findings safe in batches; tells how many were checked, now and then."""
    done = 0
    written = time.monotonic()

    def note(number: int, url: str, finding: Finding) -> None:
        nonlocal done, written
        done += 1
        full = files.add(url, finding, number) >= _BATCH
        if full or (done & 15 == 0 and time.monotonic() - written >= _LOOK_SECONDS):
            if full or time.monotonic() - written >= _BATCH_SECONDS:
                files.write()
                written = time.monotonic()
            tell(done)

    with means.transport(share) as transport:
        try:
            transport.run(means.checker(pending, transport, stop, note, share).check())
        finally:
            files.write()
    tell(done)


def check_in_processes(
    work: Work,
    files: FindingFiles,
    checkpoint: Path,
    means: Means,
    processes: int,
    progress: ProgressLines,
    stop: Callable[[], bool],
) -> None:
    """Check what is left and note the findings in `work`.

    Raises:
        JobError: if a process ended badly; what was checked is safe.
        OSError: disk full.
    """
    before, total = work.checked()
    progress.show("check", before, total)

    def tell(done: int) -> None:
        progress.show("check", before + done, total)

    with work.lent():
        processes = means.processes(processes, len(Pending(work.path).hosts()))
        if processes == 1:
            check(Pending(work.path), files, means, stop, tell)
        else:
            _check_beside(work.path, checkpoint, files.attempt, means, processes, stop, tell)
    work.note(files.batches())
    progress.show("check", work.checked()[0], total, last=True)


def _check_beside(
    path: Path,
    checkpoint: Path,
    attempt: str,
    means: Means,
    processes: int,
    stop: Callable[[], bool],
    tell: Callable[[int], None],
) -> None:
    # Forked: there are no threads yet and no connection is open, and importing takes longer than many checks.
    context = multiprocessing.get_context("fork")
    done: dict[Connection, int] = {}
    started = []
    for number in range(processes):
        mine, theirs = context.Pipe(duplex=False)
        told = (mine, *done)
        child = context.Process(
            target=_check_share,
            args=(path, FindingFiles(checkpoint, number, attempt), means, number, processes, theirs, told),
            daemon=True,
        )
        child.start()
        theirs.close()
        started.append(child)
        done[mine] = 0
    listening = set(done)
    told_to_stop = False
    while listening:
        if stop() and not told_to_stop:
            told_to_stop = True
            for child in started:
                child.terminate()
        for connection in wait(list(listening), _LOOK_SECONDS):
            assert isinstance(connection, Connection)  # noqa: S101  (nothing else was given)
            try:
                done[connection] = connection.recv()
            except EOFError:
                listening.discard(connection)
        tell(sum(done.values()))
    for child in started:
        child.join()
    _judge_ends(started, stopped=stop())


def _judge_ends(ended: list[ForkProcess], *, stopped: bool) -> None:
    codes = {child.exitcode for child in ended}
    if exit_codes.CANNOT_WRITE in codes:
        raise JobError("cannot write findings: the disk is full", exit_codes.CANNOT_WRITE)
    if exit_codes.TRY_AGAIN in codes:
        raise JobError("a process of the check gave up; its reason is above", exit_codes.TRY_AGAIN)
    killed = sorted(-code for code in codes if code is not None and code < 0)
    if killed and not stopped:
        raise JobError(
            f"a process of the check was ended by signal {killed[0]}; what was checked is safe",
            exit_codes.TRY_AGAIN,
        )
    if any(code for code in codes if code is not None and code > 0):
        raise JobError("a process of the check failed; its reason is above", exit_codes.BUG)


def _check_share(
    path: Path,
    files: FindingFiles,
    means: Means,
    number: int,
    processes: int,
    told: Connection,
    parents: Iterable[Connection],
) -> None:
    """One of several processes. It ends with its parent, however that ends."""
    for connection in parents:
        connection.close()
    request = StopRequest()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and says so
    parent = os.getppid()
    gc.freeze()  # what the parent made stays; looking through it again and again is all that collecting does
    gc.set_threshold(_OBJECTS_TO_COLLECT)

    def stop() -> bool:
        return request.requested or os.getppid() != parent

    def tell(done: int) -> None:
        with suppress(BrokenPipeError):  # the parent was killed: `stop` sees that, too
            told.send(done)

    try:
        check(Pending(path, number, processes), files, means, stop, tell, processes)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        sys.exit(exit_codes.CANNOT_WRITE)
    except JobError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
