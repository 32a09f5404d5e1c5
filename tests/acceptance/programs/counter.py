"""Counts to a total, one unit whenever a file of that name appears; says how far it is. For tests of the CLI.

counter.py FOLDER TOTAL [--exit N]
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    folder, total = Path(sys.argv[1]), int(sys.argv[2])
    code = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say(f"parameters {os.environ['NIGHTLATCH_PARAMS']}")
    for done in range(1, total + 1):
        while not (folder / str(done)).exists():
            time.sleep(0.01)
        unit = {"done": done, "total": total, "phase": "count", "message": f"unit {done}"}
        say(json.dumps({"nightlatch": "progress", **unit}))
    say("counted")
    return code


if __name__ == "__main__":
    sys.exit(main())
