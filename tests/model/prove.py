"""Search the large spaces to their end: `python -m tests.model.prove`.

Prints how many states each holds, and the story of every rule removed. Exits with 1 if a promise is broken,
if a space could not be exhausted, or if a mutant is found safe.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.model.mutants import MUTANTS
from tests.model.scenes import LARGE, SMALL
from tests.model.search import Outcome, search

SPACES = (*SMALL, *LARGE)


def _search_space(number: int, at_most: int) -> tuple[Outcome, float]:
    began = time.perf_counter()
    return search(SPACES[number].world(), at_most=at_most), time.perf_counter() - began


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _mutants() -> bool:
    sound = True
    for mutant in MUTANTS:
        outcome = search(mutant.world())
        _say(f"\nRule {mutant.rule} removed: {mutant.name}.")
        if outcome.broken is None:
            _say("  NOTHING BREAKS: the rule is not needed, or the model does not see why.")
            sound = False
        else:
            _say(outcome.told())
    return sound


def _spaces(jobs: int, at_most: int) -> bool:
    _say(f"{'states':>10} {'steps':>11} {'seconds':>8}  space")
    sound, states, steps = True, 0, 0
    with ProcessPoolExecutor(jobs) as pool:
        results = pool.map(_search_space, range(len(SPACES)), [at_most] * len(SPACES))
        for space, (outcome, seconds) in zip(SPACES, results, strict=True):
            states, steps = states + outcome.states, steps + outcome.steps
            end = "" if outcome.exhausted else "  NOT EXHAUSTED"
            counts = f"{outcome.states:10,} {outcome.steps:11,} {seconds:8.1f}"
            _say(f"{counts}  {space.name} ({space.bounds}){end}")
            if outcome.broken is not None:
                _say(outcome.told())
            sound = sound and outcome.exhausted
    _say(f"{states:10,} {steps:11,}           states and steps in all, {len(SPACES)} spaces")
    return sound


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)"
    )
    parser.add_argument(
        "--at-most", type=int, default=20_000_000, help="give up a space beyond so many states"
    )
    parser.add_argument("--stories", action="store_true", help="only the stories of the rules removed")
    arguments = parser.parse_args()
    spaces_sound = True if arguments.stories else _spaces(arguments.jobs, arguments.at_most)
    mutants_unsafe = _mutants()
    verdict = spaces_sound and mutants_unsafe
    _say("\nNo promise is broken, and every rule is needed." if verdict else "\nNOT PROVEN: see above.")
    return 0 if verdict else 1


if __name__ == "__main__":
    sys.exit(main())
