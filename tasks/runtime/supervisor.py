"""One attempt, from the claim to the exit code."""

import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tasks.contract import Assignment, exit_codes, variables
from tasks.runtime.child import Child, child_environment
from tasks.runtime.claim import UNCLAIMED, claim
from tasks.runtime.directories import Directories, make_directories
from tasks.runtime.exchange import Exchange
from tasks.runtime.failures import RuntimeFailure, StoppedEarly
from tasks.runtime.output import Output
from tasks.runtime.signals import Event, StopSignals

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from tasks.runtime.checkpointing import Checkpointing
    from tasks.runtime.verification import Verification

# Of the stop grace, what is kept for the last upload after the job has ended.
_LONGEST_RESERVE: Final = 10.0
_RESERVE_SHARE: Final = 0.3
# A job that ignores SIGTERM is ended from outside at the deadline. This is for the case that nobody does.
_OVERDUE: Final = 5.0


class Supervisor:
    """Runs `command` once, under the contract.

    Made after StopSignals is in place; `run` returns the exit code of the container.
    """

    def __init__(
        self,
        command: list[str],
        assignment: Assignment,
        environment: Mapping[str, str],
        *,
        stop: StopSignals,
        output: Output,
    ) -> None:
        self._command = command
        self._assignment = assignment
        self._environment = environment
        self._stop = stop
        self._output = output
        self._started = time.time()
        self._log: FilteringBoundLogger
        self._child: Child | None = None
        self._ended_by_deadline = False

    def run(self) -> int:
        """Claim, restore, run, checkpoint, publish. Never raises for an expected trouble."""
        from tasks.runtime.log import open_log  # noqa: PLC0415  (slow to import; signals come first)

        told = self._assignment
        self._log = open_log(
            self._output,
            job=told.job,
            run=told.run,
            step=told.step,
            attempt=told.attempt,
            shard="" if told.shard_index is None else str(told.shard_index),
        )
        reason = ""
        try:
            code = self._attempt()
        except (RuntimeFailure, StoppedEarly) as failure:
            code, reason = failure.exit_code, str(failure)
        except Exception as error:  # noqa: BLE001  (the container's last resort: say 70, not 1)
            code, reason = exit_codes.BUG, f"a defect in the runtime: {type(error).__name__}: {error}"
            self._log.exception("defect")
        finally:
            if self._child is not None:
                self._child.signal(signal.SIGKILL)  # only after a defect is there still one
        self._report(code, reason)
        return code

    def _attempt(self) -> int:
        told = self._assignment
        claimed = claim(told, self._environment)
        token = claimed.token if claimed else UNCLAIMED
        if claimed:
            self._log = self._log.bind(token=token)
            event = "verified" if told.verify else "claimed"
            self._log.info(event, lock=claimed.lock_key, task=claimed.task_arn)
        exchange = Exchange(told, token, self._log)
        if exchange.is_done():
            return exit_codes.DONE
        with make_directories(collecting=bool(told.collect)) as directories:
            exchange.bring(directories)
            code = self._work(directories, token)
            if code == exit_codes.DONE:
                exchange.deliver(directories)
        return code

    def _work(self, directories: Directories, token: int) -> int:
        """Run the job between its first and its last checkpoint; returns its exit code."""
        checkpointing = self._restore(directories, token)
        verification = self._verification() if self._assignment.verify else None
        added = {variables.TOKEN: str(token), **directories.variables()}
        self._stop.preparation_is_over()
        self._log.info("started", command=[word[:100] for word in self._command[:8]])
        self._child = Child(
            self._command,
            child_environment(self._environment, added),
            self._output,
            on_exit=lambda: self._stop.events.put(Event.EXIT),
        )
        if checkpointing is not None:
            checkpointing.start()
        if verification is not None:
            verification.start()
        code = self._see_through(self._child)
        if verification is not None:
            verification.finish()
            if verification.lock_lost is not None:
                raise verification.lock_lost
        if checkpointing is not None:
            safe = checkpointing.finish(self._seconds_for_upload())
            if checkpointing.lock_lost is not None:
                raise checkpointing.lock_lost
            if not safe:
                self._log.warning("the last checkpoint may be missing")
        if self._ended_by_deadline:
            self._leave_the_timeout_to_the_state_machine()
        return code

    def _verification(self) -> "Verification":
        from tasks.runtime.claim import verify  # noqa: PLC0415  (only in a fan-out)
        from tasks.runtime.verification import Verification  # noqa: PLC0415  (the same)

        return Verification(
            lambda: verify(self._assignment),
            self._log,
            on_lock_lost=lambda: self._stop.events.put(Event.LOCK_LOST),
        )

    def _restore(self, directories: Directories, token: int) -> "Checkpointing | None":
        if not self._assignment.checkpoint:
            return None
        from tasks.runtime.checkpoint import Checkpoint  # noqa: PLC0415  (only with a location)
        from tasks.runtime.checkpointing import Checkpointing  # noqa: PLC0415  (the same)
        from tasks.runtime.locations import open_store  # noqa: PLC0415  (the same)

        location = self._assignment.checkpoint
        checkpoint = Checkpoint(open_store(location), directories.checkpoint, token)
        count = checkpoint.restore()
        if count:
            self._log.info("checkpoint restored", files=count)
        return Checkpointing(
            checkpoint, self._log, on_lock_lost=lambda: self._stop.events.put(Event.LOCK_LOST)
        )

    def _see_through(self, child: Child) -> int:
        """Wait for the job to end, stopping it when it is time to; returns its exit code."""
        grace = self._assignment.stop_grace
        reserve = min(_LONGEST_RESERVE, grace * _RESERVE_SHARE)
        deadline = self._assignment.deadline
        term_at = None if deadline is None else time.monotonic() + deadline - grace - time.time()
        kill_at: float | None = None
        killed = overdue = False
        while True:
            due = kill_at if kill_at is not None else term_at
            if killed:
                due = None  # only its end is left to wait for
            event = self._stop.wait(None if due is None else max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if event is Event.EXIT:
                code = child.exit_code()
                self._ended_by_deadline = overdue and child.died_of_a_signal and self._stop.stopped_at is None
                return exit_codes.STOPPED if killed else code
            if event is Event.STOP:
                self._log.info("stopping", reason="SIGTERM", grace_seconds=grace)
                child.signal(signal.SIGTERM)
                kill_at = now + grace - reserve
            elif event is Event.LOCK_LOST:
                self._log.error("stopping", reason="the lock is lost")
                child.signal(signal.SIGTERM)
                kill_at = now + grace - reserve
            elif kill_at is not None and now >= kill_at and not killed:
                self._log.warning("killing the job: it did not stop within its grace")
                child.signal(signal.SIGKILL)
                killed = True
            elif kill_at is None and term_at is not None and now >= term_at:
                self._log.warning("stopping", reason="the deadline is near", grace_seconds=grace)
                child.signal(signal.SIGTERM)
                overdue = True
                # The timeout is enforced outside; only without anybody there is this the end.
                kill_at = now + grace + _OVERDUE

    def _leave_the_timeout_to_the_state_machine(self) -> None:
        """Stay until the timeout fires outside, so that the attempt counts as timed out.

        Only for a job that did not end by itself when told that its time is over.
        """
        deadline = self._assignment.deadline or 0.0
        while (left := deadline + _OVERDUE - time.time()) > 0:
            if self._stop.wait(left) is Event.STOP:
                return

    def _seconds_for_upload(self) -> float:
        """What is left for the last upload: the rest of the stop grace, or time enough if nobody waits."""
        if self._stop.stopped_at is None:
            return 60.0
        gone = time.monotonic() - self._stop.stopped_at
        return max(0.5, self._assignment.stop_grace - gone - 0.5)

    def _report(self, code: int, reason: str) -> None:
        """The last two lines: the metrics, and what became of the attempt, with the reason if we know it."""
        from tasks.runtime.metrics import metric_line  # noqa: PLC0415  (only now)

        seconds = round(time.time() - self._started, 3)
        progress = self._child.relay.last_progress if self._child else None
        values: dict[str, tuple[float, str]] = {
            "Success": (1 if code == exit_codes.DONE else 0, "Count"),
            "DurationSeconds": (seconds, "Seconds"),
        }
        if progress is not None:
            values["ProgressDone"] = (progress.done, "Count")
            values["ProgressTotal"] = (progress.total, "Count")
        told = self._assignment
        properties = {"Run": told.run, "Attempt": told.attempt, "ExitCode": code}
        line = metric_line(
            epoch_ms=int(time.time() * 1000),
            job=told.job,
            step=told.step,
            values=values,
            properties=properties,
        )
        self._output.write(line + "\n")
        details: dict[str, object] = {
            "exit_code": code,
            "meaning": exit_codes.describe(code),
            "seconds": seconds,
        }
        if reason:
            details["reason"] = reason
        if progress is not None:
            details |= {"done": progress.done, "total": progress.total, "phase": progress.phase}
        record = self._log.info if code == exit_codes.DONE else self._log.error
        record("finished", **details)
