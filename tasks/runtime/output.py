"""Standard output, shared by the job's lines and our own log records without mixing them."""

import os
import threading
from typing import Final

from tasks.contract import Progress, parse_progress
from tasks.contract.progress import LONGEST_LINE

_CHUNK: Final = 1 << 16


class Output:
    """Writes whole lines to the descriptor `fd`; never raises, for a job must not die of a full log disk.

    `lost` counts the writes that did not get through.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._inside_line = False
        self.lost = 0

    def write(self, text: str) -> None:
        """Write a log record (structlog's file interface); begins on a line of its own."""
        with self._lock:
            if self._inside_line:
                text = "\n" + text
            self._put(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is held back."""

    def pass_through(self, data: bytes | bytearray) -> None:
        """Write bytes of the job, usually whole lines."""
        with self._lock:
            self._put(data)

    def _put(self, data: bytes | bytearray) -> None:
        if not data:
            return
        self._inside_line = not data.endswith(b"\n")
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except OSError:
                self.lost += 1
                return


class Relay:
    """Copies the job's standard output and keeps its last progress.

    Lines come through unchanged; a line of any length uses no more memory than a small buffer.
    """

    def __init__(self, source: int, output: Output) -> None:
        self._source = source
        self._output = output
        self._held = bytearray()
        self._oversized = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self.last_progress: Progress | None = None

    def start(self) -> None:
        """Begin to copy, in a thread."""
        self._thread.start()

    def finish(self, timeout: float) -> None:
        """Wait until the job's output has ended; a grandchild may hold it open, so not for ever."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            try:
                data = os.read(self._source, _CHUNK)
            except OSError:
                data = b""
            if not data:
                break
            self._take(data)
        self._output.pass_through(self._held)

    def _take(self, data: bytes) -> None:
        end = data.rfind(b"\n") + 1
        if end:
            block = bytes(self._held) + data[:end]
            self._held.clear()
            self._read_progress(block)
            self._oversized = False
            self._output.pass_through(block)
        self._held += data[end:]
        if len(self._held) > LONGEST_LINE:
            self._oversized = True
            self._output.pass_through(self._held)
            self._held.clear()

    def _read_progress(self, block: bytes) -> None:
        if b'"nightlatch"' not in block:
            return
        lines = block.split(b"\n")
        if self._oversized:
            del lines[0]  # the rest of a line whose beginning went by
        for line in reversed(lines):
            found = parse_progress(line)
            if found is not None:
                self.last_progress = found
                return
