"""Random nights: the real definitions against a simulated installation where everything goes wrong.

    python -m tests.simulation.nights --count 10000 --seed 1
    python -m tests.simulation.nights --replay 1/4711

Each night has a name, `seed/number`, from which everything in it follows: a name replays its night exactly.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.simulation.world.night import Night, NightFailedError, play


def main(arguments: list[str] | None = None) -> int:
    """Plays nights and reports; the exit code is 1 if one of them broke a promise."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.nights", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--count", type=int, default=1000, help="how many nights (default 1000)")
    parser.add_argument("--seed", default="1", help="the seed of all of them (default 1)")
    parser.add_argument("--replay", metavar="SEED/NUMBER", help="play one night and print its timeline")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many at once")
    given = parser.parse_args(arguments)
    if given.replay:
        return _replay(given.replay)
    return _play_all(given.seed, given.count, given.processes)


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _replay(name: str) -> int:
    try:
        night = play(name)
    except NightFailedError as failed:
        _say(failed)
        return 1
    _say(night.timeline)
    _say(json.dumps(night.figures))
    return 0


def _play_quietly(name: str) -> Night | str:
    try:
        return play(name)
    except NightFailedError as failed:
        return str(failed)


def _play_all(seed: str, count: int, processes: int) -> int:
    figures: Counter[str] = Counter()
    failures: list[str] = []
    started = time.monotonic()
    names = (f"{seed}/{number}" for number in range(count))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, night in enumerate(pool.imap_unordered(_play_quietly, names, chunksize=4), start=1):
            if isinstance(night, str):
                failures.append(night)
                sys.stderr.write(night + "\n")
            else:
                figures.update(night.figures)
            if number % 500 == 0:
                rate = number / (time.monotonic() - started)
                _say(f"{number} nights, {len(failures)} failed, {rate:.1f} a second")
    seconds = time.monotonic() - started
    for name, value in sorted(figures.items()):
        _say(f"{name:<28} {value}")
    _say(
        f"{count} nights in {seconds:.0f} s, {count / seconds:.1f} a second: {len(failures)} broke a promise"
    )
    for failure in failures[:20]:
        _say(failure.splitlines()[0])
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
