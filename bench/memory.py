"""How much memory a process had at most."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Final

_PEAK: Final = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
_KIBI: Final = 1024


def peak_bytes(process: int | None = None) -> int:
    """The most memory that a process had so far, this one if no id is given; 0 once it has ended.

    What `ru_maxrss` and `wait4` say begins on Linux with the memory of whoever started the process.
    """
    try:
        found = _PEAK.search(Path("/proc", str(process or "self"), "status").read_text())
    except OSError:
        return 0 if process else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(found[1]) * _KIBI if found else 0
