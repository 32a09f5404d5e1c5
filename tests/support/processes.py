"""Whether a process works, as a test may ask about one that is not its child."""

import psutil


def is_alive(pid: int) -> bool:
    """Whether it can still do something.

    A zombie cannot: it has ended, and only waits for a parent that collects it. An orphan's parent is the
    first process of the machine or container, which may be slow to collect, or never do.
    """
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
