"""Ships what containers print to CloudWatch Logs.

A container's output goes straight into a file (the kernel writes it; nothing of ours stands between). From
there it is read, cut into events and sent; how far is put on file after each acknowledged batch. So nothing
is lost when this process is killed, and at worst a batch is sent twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.ecs.runner import StartError

if TYPE_CHECKING:
    from nightlatch.local.aws import Caller
    from nightlatch.local.ecs.store import Store
    from statemachine.interpreter import Clock

LOOK_SECONDS = 0.2
"""Between two looks at the files; the delay of a line is at most this and the sending."""

READ_BYTES = 260_000
"""Read at once. Even tripled by U+FFFD and with 26 bytes for each event it fits into PutLogEvents' 1 MiB."""

LONGEST_LINE = 256_000
"""A longer line becomes several events (an event has at most 256 KiB)."""

MOST_EVENTS = 10_000
"""Events in one PutLogEvents."""

PATIENCE_SECONDS = 1.0
"""Between two attempts after CloudWatch Logs refused."""

_log = structlog.get_logger(__name__)


@dataclass
class Spool:
    """One container's output and how far it has been shipped.

    Attributes:
        key: ``task-id/container``.
        path: The file.
        group: Log group.
        stream: Log stream.
        offset: Bytes that are shipped.
        closed: Whether nothing more will be written.
    """

    key: str
    path: Path
    group: str
    stream: str
    offset: int = 0
    closed: bool = False
    shipped: trio.Event = field(default_factory=trio.Event)
    not_before: float = 0.0

    def document(self) -> dict[str, Any]:
        """What is put on file."""
        return {"path": str(self.path), "group": self.group, "stream": self.stream, "offset": self.offset}


class LogShipper:
    """Carries spool files into CloudWatch Logs.

    Args:
        store: Where offsets are kept.
        aws: Reaches CloudWatch Logs.
        clock: Stamps the events.
    """

    def __init__(self, store: Store, aws: Caller, clock: Clock) -> None:
        self._store = store
        self._aws = aws
        self._clock = clock
        # What an earlier process left is complete: its writers are ended before their tasks are STOPPED,
        # and `close` below is called for them again.
        self._spools = {
            key: Spool(key, Path(item["path"]), item["group"], item["stream"], item["offset"])
            for key, item in store.all("log").items()
        }
        self._wake = trio.Event()

    async def open(self, key: str, path: Path, options: dict[str, str], stream: str) -> None:
        """Begin to ship a file.

        Args:
            key: ``task-id/container``.
            path: The spool file.
            options: The ``awslogs-`` options of the container.
            stream: Name of the log stream.

        Raises:
            StartError: ``ResourceInitializationError`` when the stream cannot be made.
        """
        group = options["awslogs-group"]
        if options.get("awslogs-create-group") == "true":
            await self._make("CreateLogGroup", {"logGroupName": group})
        await self._make("CreateLogStream", {"logGroupName": group, "logStreamName": stream})
        spool = Spool(key, path, group, stream)
        self._store.put("log", key, spool.document())
        self._spools[key] = spool

    def close(self, key: str) -> trio.Event:
        """Say that nothing more will be written. The event is set once everything is shipped."""
        spool = self._spools.get(key)
        if spool is None:
            done = trio.Event()
            done.set()
            return done
        spool.closed = True
        self._wake.set()
        return spool.shipped

    def keys(self) -> list[str]:
        """The files that are not wholly shipped."""
        return list(self._spools)

    async def run(self) -> None:
        """Ship until cancelled."""
        while True:
            for spool in list(self._spools.values()):
                if spool.not_before <= trio.current_time():
                    await self._ship(spool)
            with trio.move_on_after(LOOK_SECONDS):
                await self._wake.wait()
            self._wake = trio.Event()

    async def ship_all(self) -> None:
        """Ship what is there now, once; for an orderly end."""
        for spool in list(self._spools.values()):
            await self._ship(spool)

    async def _ship(self, spool: Spool) -> None:
        while True:
            closed = spool.closed  # before reading: what was written before it was closed is then seen
            data = _read(spool)
            messages, used = cut(data, everything=closed)
            if used == 0:
                break
            try:
                await self._put(spool, messages)
            except ApiError as error:
                _log.warning(
                    "logs not shipped yet", stream=spool.stream, code=error.code, reason=error.message
                )
                spool.not_before = trio.current_time() + PATIENCE_SECONDS
                return
            spool.offset += used
            self._store.put("log", spool.key, spool.document())
        if closed and used == len(data):
            self._spools.pop(spool.key, None)
            self._store.delete("log", spool.key)
            spool.shipped.set()

    async def _put(self, spool: Spool, messages: list[str]) -> None:
        now = int(self._clock.now() * 1000)
        for start in range(0, len(messages), MOST_EVENTS):
            events = [{"timestamp": now, "message": text} for text in messages[start : start + MOST_EVENTS]]
            request = {"logGroupName": spool.group, "logStreamName": spool.stream, "logEvents": events}
            try:
                await self._aws.call("logs", "PutLogEvents", request)
            except ApiError as error:
                if error.code != "ResourceNotFoundException":
                    raise
                # The stream was deleted under us, or its creation was lost with a crash.
                names = {"logGroupName": spool.group, "logStreamName": spool.stream}
                await self._aws.call("logs", "CreateLogStream", names)
                await self._aws.call("logs", "PutLogEvents", request)

    async def _make(self, operation: str, names: dict[str, str]) -> None:
        try:
            await self._aws.call("logs", operation, names)
        except ApiError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise StartError(
                    "ResourceInitializationError: failed to validate logger args: create stream has been"
                    f" retried 1 times: failed to create Cloudwatch log stream: {error.code}: {error.message}"
                ) from error


def cut(data: bytes, *, everything: bool) -> tuple[list[str], int]:
    """Cut output into log messages.

    Args:
        data: From where the last cut ended.
        everything: Whether the data's end is the output's end; otherwise an unfinished line waits.

    Returns:
        The messages, and how many bytes they used. Empty lines are no messages, as with the awslogs driver;
        bytes that are not UTF-8 become U+FFFD.
    """
    messages: list[str] = []
    used = 0
    while used < len(data) and len(messages) < MOST_EVENTS:
        end = data.find(b"\n", used, used + LONGEST_LINE + 1)
        if end >= 0:
            line, after = data[used:end], end + 1
        elif len(data) - used > LONGEST_LINE:
            after = used + _whole_characters(data[used : used + LONGEST_LINE])
            line = data[used:after]
        elif everything:
            line, after = data[used:], len(data)
        else:
            break
        text = line.decode("utf-8", errors="replace").rstrip("\r")
        messages.extend(_pieces(text))
        used = after
    return messages, used


def _pieces(text: str) -> list[str]:
    """The text, in pieces where replaced bytes made it longer than one event may be; nothing for no text."""
    if len(text.encode()) <= LONGEST_LINE:
        return [text] if text else []
    step = LONGEST_LINE // 4
    return [text[start : start + step] for start in range(0, len(text), step)]


def _whole_characters(data: bytes) -> int:
    """Length of the longest beginning that does not end within a UTF-8 character."""
    for back in range(1, 5):
        lead = f"{data[-back]:08b}"
        if not lead.startswith("10"):  # not a continuation byte: here the last character begins
            needed = max(1, lead.index("0")) if "0" in lead else 1
            return len(data) if needed <= back else len(data) - back
    return len(data)


def _read(spool: Spool) -> bytes:
    try:
        with spool.path.open("rb") as file:
            file.seek(spool.offset)
            return file.read(READ_BYTES)
    except FileNotFoundError:
        return b""
