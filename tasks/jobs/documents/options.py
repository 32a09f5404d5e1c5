"""The parameters of documents-plan."""

from collections.abc import Callable
from typing import Final

from tasks.contract import variables
from tasks.jobs.documents.terms import ENGINES
from tasks.jobs.program import Parser, directory_option

_MOST: Final = 1_000_000_000


def _number(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def _count(least: int, most: int = _MOST) -> Callable[[str], int]:
    def count(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError
        return value

    return count


def plan_parser() -> Parser:
    """Reads the run's parameters and the command line."""
    parser = Parser(
        prog="documents-plan",
        description="Cut documents into shards, each work once, and decide how they are worked on.",
        epilog="example: documents-plan --documents news.jsonl --labelled train.jsonl",
    )
    add = parser.add_argument
    add("--documents", default="", metavar="PLACE", help="a file or a folder: a path or s3://bucket/key")
    add("--redrive", default="", metavar="PLACE", help="dead letters of a former run, to be tried again")
    add("--known", default="", metavar="PLACE", help="results of a former run: these works are left out")
    add("--labelled", default="", metavar="PLACE", help="documents with labels; the linear classifier learns")
    add("--question", default="", help="topic, sentiment, summary, review, or a JSON file (default: topic)")
    add("--labels", default="", metavar="A,B", help="what the answer may be, for topic and sentiment")
    add(
        "--engine",
        default="",
        choices=("", *ENGINES),
        help="default: linear if there are labelled ones, else chat",
    )
    for name in ("id", "text", "label", "received"):
        add(
            f"--{name}-field", default=name, metavar="NAME", help=f"where the {name} stands (default: {name})"
        )
    add("--longest", type=_count(1), default=200_000, metavar="N", help="most characters of a document")
    add(
        "--shard-documents",
        type=_count(1),
        default=1000,
        metavar="N",
        help="documents of a shard (default: 1000)",
    )
    add(
        "--containers",
        type=_count(1, 10_000),
        default=10,
        metavar="N",
        help="shards at once, as fan_out says (10)",
    )
    add(
        "--batch",
        type=_count(0, 1024),
        default=0,
        metavar="N",
        help="documents a request (default: measured)",
    )
    add(
        "--concurrency",
        type=_count(1, 5000),
        default=64,
        metavar="N",
        help="most requests at once of a container",
    )
    add(
        "--first",
        type=_count(1, 5000),
        default=8,
        metavar="N",
        help="requests at once to begin with (default: 8)",
    )
    add("--seconds", type=_number, default=60.0, help="how long a request may take (default: 60)")
    add(
        "--tries",
        type=_count(1, 100),
        default=5,
        metavar="N",
        help="tries of a document that fails (default: 5)",
    )
    add(
        "--outage-seconds",
        type=_number,
        default=300.0,
        metavar="S",
        help="without any success: give up, exit 75",
    )
    add("--poll-seconds", type=_number, default=30.0, metavar="S", help="between looks at a batch service")
    add("--rpm", type=_number, default=0.0, metavar="N", help="requests a minute, of all containers together")
    add("--tpm", type=_number, default=0.0, metavar="N", help="tokens a minute, of all containers together")
    add("--ceiling", type=_number, default=0.0, metavar="USD", help="what the run may cost at most")
    add("--price-input", type=_number, default=0.0, metavar="USD", help="of a million input tokens")
    add("--price-output", type=_number, default=0.0, metavar="USD", help="of a million output tokens")
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where shards.json goes")
    return parser
