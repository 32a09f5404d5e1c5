"""Results and dead letters as files of lines, each document once."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tasks.jobs.documents import settling
from tasks.jobs.documents.journal import line_of

RESULTS: Final = "results.jsonl"
DEAD_LETTERS: Final = "dead_letters.jsonl"


def write_split(lines: Iterable[bytes], output: Path) -> None:
    """The journal's lines as the two files of a shard."""
    with (output / RESULTS).open("wb") as results, (output / DEAD_LETTERS).open("wb") as dead:
        for line in lines:
            record = json.loads(line)
            kind = record.pop("kind")
            del record["n"]
            (results if kind == settling.ANSWER else dead).write(line_of(record))
