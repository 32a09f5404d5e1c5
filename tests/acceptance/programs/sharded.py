"""A job in three steps for acceptance tests: plan shards, work on one, collect. Knows only the contract."""

import json
import os
import sys
import time
from pathlib import Path

ROLE, LEDGER, *REST = sys.argv[1:]
OUTPUT = Path(os.environ["NIGHTLATCH_OUTPUT_DIR"])


def note(event: str, **more: object) -> None:
    line = json.dumps({"event": event, "pid": os.getpid(), **more}) + "\n"
    with Path(LEDGER).open("a") as ledger:
        ledger.write(line)


def plan() -> None:
    (OUTPUT / "shards.json").write_text(json.dumps([{"name": name} for name in REST]))


def work() -> None:
    name = json.loads(os.environ["NIGHTLATCH_SHARD"])["name"]
    attempt = int(os.environ["NIGHTLATCH_ATTEMPT"])
    note("work", name=name, attempt=attempt, index=int(os.environ["NIGHTLATCH_SHARD_INDEX"]))
    sys.stdout.write('{"nightlatch":"progress","done":1,"total":2,"phase":"half"}\n')
    sys.stdout.flush()
    if name == "again" and attempt == 1:
        sys.exit(75)
    if name == "killed" and attempt == 1:
        time.sleep(600)
    if name == "broken" and not Path(LEDGER + ".mended").exists():
        sys.exit(64)
    (OUTPUT / "result.txt").write_text(f"{name} {os.environ['NIGHTLATCH_TOKEN']}")


def collect() -> None:
    shards = Path(os.environ["NIGHTLATCH_SHARDS_DIR"])
    found = {
        entry["shard"]["name"]: (shards / str(entry["index"]) / "result.txt").read_text().split()[0]
        for entry in json.loads((shards / "shards.json").read_text())
        if entry["published"]
    }
    note("collect", found=found)
    (OUTPUT / "all.json").write_text(json.dumps(found))


{"plan": plan, "work": work, "collect": collect}[ROLE]()
