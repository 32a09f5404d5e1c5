"""Counts to a total, one unit whenever a file of that name appears; says how far it is. For tests of the CLI.

counter.py FOLDER TOTAL [--exit N]
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def say(done: int, total: int) -> None:
    line = {"nightlatch": "progress", "done": done, "total": total, "phase": "count", "message": f"unit {done}"}
    print(json.dumps(line), flush=True)


def main() -> int:
    folder, total = Path(sys.argv[1]), int(sys.argv[2])
    code = int(sys.argv[4]) if len(sys.argv) > 4 else 0  # noqa: PLR2004  the last argument
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"parameters {os.environ['NIGHTLATCH_PARAMS']}", flush=True)
    for done in range(1, total + 1):
        while not (folder / str(done)).exists():
            time.sleep(0.01)
        say(done, total)
    print("counted", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
