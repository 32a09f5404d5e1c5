"""Chaos: processes take locks while they are killed, put to sleep, cut off; then the histories are checked.

    python -m tests.chaos.run --seconds 300                     # starts a local AWS and a PostgreSQL
    python -m tests.chaos.run --endpoint http://127.0.0.1:4566  # any other DynamoDB and S3
    python -m tests.chaos.run --break unconditional-release     # a broken lock: must be found out

Exit status: 0 nothing that the lock promises never to show; 1 something, and the histories are kept; 2 usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.chaos import checks
from tests.chaos.faults import Chaos
from tests.chaos.history import Histories, History
from tests.chaos.linearizability import Verdict
from tests.chaos.mutants import MUTANTS
from tests.chaos.resources import Place
from tests.chaos.stage import Role, Stage
from tests.support.local_aws import REGION, LocalAws
from tests.support.postgres import find_program, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = Path(__file__).parents[2] / ".cache" / "chaos"
"""Where the histories of failed runs lie."""

_TOKENS = {"AWS_ACCESS_KEY_ID": "chaos", "AWS_SECRET_ACCESS_KEY": "chaos", "AWS_DEFAULT_REGION": REGION}


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long to make trouble at most")
    parser.add_argument(
        "--enough", type=int, help="stop when each kind of trouble was seen through this often"
    )
    parser.add_argument("--endpoint", help="URL of a DynamoDB and S3; default: a local AWS of this run's own")
    parser.add_argument("--postgres", help="URL of a PostgreSQL database; default: one of this run's own")
    parser.add_argument("--workers", type=int, default=3, help="processes for each of the three locks")
    parser.add_argument("--seed", type=int, default=None, help="of the order of kills and pauses")
    parser.add_argument("--lose-reply", type=float, default=0.1, help="share of replies that get lost")
    parser.add_argument("--lose-request", type=float, default=0.05, help="share of requests that get lost")
    parser.add_argument("--break", dest="mutant", choices=sorted(MUTANTS), help="break the lock on purpose")
    parser.add_argument("--histories", type=Path, help="keep the histories here whatever comes out")
    return parser.parse_args(arguments)


@contextmanager
def place(endpoint: str | None, database: str | None, scratch: Path) -> Iterator[Place]:
    """Somewhere to work: the endpoint that was given, or a local AWS; a PostgreSQL where there is one."""
    with ExitStack() as stack:
        if database is None and find_program("initdb") and find_program("postgres"):
            database = stack.enter_context(postgres()).url
        if endpoint is None:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update(_TOKENS)
            server = LocalAws(scratch / "aws")
            stack.callback(server.stop)
            server.start()
            endpoint = server.url
        prepared = Place.prepare(endpoint, database)
        stack.callback(prepared.remove)
        yield prepared


def roles(workers: int) -> tuple[Role, ...]:
    """The three populations: direct holders that try, direct holders that wait in line, runs."""
    kinds = (Role("tried"), Role("queued", waits=True), Role("claimed", runs=True))
    return tuple(role for role in kinds for _ in range(workers))


def judge(folder: Path, order: dict[str, list[int]]) -> tuple[list[checks.Anomaly], list[Verdict], Histories]:
    """All checks over the histories of a folder."""
    histories = Histories.read(folder)
    found = [*checks.overlaps(histories), *checks.tokens(histories), *checks.writes(histories)]
    found += [*checks.postgres_order(order), *checks.faults(histories)]
    verdicts = []
    for result in checks.linearizable(histories):
        if isinstance(result, Verdict):
            verdicts.append(result)
        else:
            found.append(result)
    return found, verdicts, histories


def main(arguments: list[str] | None = None) -> int:
    """Run, check, report."""
    chosen = options(arguments)
    scratch = Path(tempfile.mkdtemp(prefix="nightlatch-chaos-"))
    seed = chosen.seed if chosen.seed is not None else int.from_bytes(os.urandom(4), "big")
    folder = chosen.histories or KEPT / f"{time.strftime('%Y%m%dT%H%M%S')}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with place(chosen.endpoint, chosen.postgres, scratch) as prepared:
        stage = Stage(
            folder,
            prepared,
            roles(chosen.workers),
            seed,
            chosen.lose_reply,
            chosen.lose_request,
            MUTANTS.get(chosen.mutant),
        )
        chaos = Chaos(stage, Random(seed), History(folder, "chaos"))
        seconds = chaos.run(chosen.seconds, chosen.enough)
        order = prepared.postgres_order()
        resources = prepared.resources
    found, verdicts, histories = judge(folder, order)
    broken = [anomaly for anomaly in found if anomaly.violation]
    counts = checks.count(histories, found)
    say = sys.stdout.write
    say(
        f"chaos: {len(stage.roles)} workers, {seconds:.1f} s, seed {seed}, resources {', '.join(resources)}\n"
    )
    for name, number in counts.items():
        mark = "  VIOLATION" if name in checks.VIOLATIONS else ""
        say(f"  {name:<36}{number:>8}{mark}\n")
    for verdict in verdicts:
        answer = "linearizable" if verdict.stuck_at is None else "NOT LINEARIZABLE"
        say(
            f"  lock {verdict.key}: {verdict.calls} calls, {verdict.unanswered} without an answer, "
            f"at most {verdict.largest} explanations at once: {answer}\n"
        )
    for anomaly in broken[:10]:
        say(f"VIOLATION {anomaly.kind}: {anomaly.text}\n")
        for line in anomaly.lines:
            say(f"    {json.dumps(line)}\n")
    (folder / "anomalies.json").write_text(
        json.dumps([{"kind": a.kind, "text": a.text, "lines": a.lines} for a in found], indent=1)
    )
    if broken or chosen.histories:
        say(f"histories and all {len(found)} anomalies: {folder}\n")
    else:
        shutil.rmtree(folder)
    shutil.rmtree(scratch)
    summary = {
        "chaos": counts,
        "seed": seed,
        "violations": len(broken),
        "resources": list(resources),
        "folder": str(folder),
    }
    say(json.dumps(summary) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
