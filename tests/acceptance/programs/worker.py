"""A container's program for the acceptance tests, watched from outside.

    worker.py LEDGER [--exit N] [--gate FILE] [--hang] [--ignore-term] [--grandchild] [--started FILE]

While it lives it holds an exclusive kernel lock on LEDGER.held, which the kernel gives up only when the last
process that inherited it is gone, however it died. A second container that comes while the first (or a
grandchild of it) lives cannot get it and writes `overlap` into the ledger: a witness that neither a lost
`end` line nor `kill -9` can deceive.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path


def write(ledger: Path, event: str) -> None:
    line = {
        "event": event,
        "at": time.monotonic(),
        "pid": os.getpid(),
        "token": int(os.environ.get("NIGHTLATCH_TOKEN", "0")),
        "run": os.environ.get("NIGHTLATCH_RUN"),
        "step": os.environ.get("NIGHTLATCH_STEP"),
        "attempt": int(os.environ.get("NIGHTLATCH_ATTEMPT", "0")),
    }
    with ledger.open("a") as out:
        out.write(json.dumps(line) + "\n")


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("ledger", type=Path)
    options.add_argument("--exit", type=int, default=0)
    options.add_argument("--exit-once", type=int, default=0, help="this code, on attempt 1 only")
    options.add_argument("--gate", type=Path, help="work until this file exists")
    options.add_argument("--hang", action="store_true")
    options.add_argument("--ignore-term", action="store_true")
    options.add_argument("--grandchild", action="store_true")
    given = options.parse_args()

    held = os.open(given.ledger.with_suffix(".held"), os.O_RDWR | os.O_CREAT)
    os.set_inheritable(held, True)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        write(given.ledger, "overlap")
        return 70

    if given.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write(given.ledger, "start")
    if given.grandchild and os.fork() == 0:
        os.setsid()  # out of the process group: only a search by environment finds it now
        if os.fork() == 0:
            while True:
                time.sleep(3600)
        os._exit(0)
    while given.hang or (given.gate is not None and not given.gate.exists()):
        time.sleep(0.02)
    attempt = int(os.environ.get("NIGHTLATCH_ATTEMPT", "1"))
    code = given.exit_once if given.exit_once and attempt == 1 else given.exit
    write(given.ledger, "end")
    return code


if __name__ == "__main__":
    sys.exit(main())
