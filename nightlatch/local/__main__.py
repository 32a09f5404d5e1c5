"""``python -m nightlatch.local``: the local AWS in the foreground; ``nightlatch local up`` starts this."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import trio

from nightlatch.local.options import DEFAULT_PORT, DEFAULT_REGION, LOCAL_ACCOUNT, LocalOptions
from nightlatch.local.state_directory import LocalStartError


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status."""
    options = parse(arguments)
    # Imported late so that --help and mistakes answer at once.
    from nightlatch.local.server import serve_until_signal  # noqa: PLC0415 - see above

    status = 0
    try:
        trio.run(serve_until_signal, options)
    except* LocalStartError as group:
        for error in _leaves(group):
            print(f"error: {error}", file=sys.stderr)  # noqa: T201 - this is the program's voice
        status = 1
    return status


def parse(arguments: list[str] | None = None) -> LocalOptions:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m nightlatch.local",
        description="The local AWS: one process, one loopback port, real processes.",
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="loopback port; 0 takes a free one")
    parser.add_argument(
        "--state", type=Path, default=Path(".nightlatch/local"), help="directory of all state"
    )
    parser.add_argument("--runner", choices=["process", "docker"], default="process", help="who runs tasks")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="directory that stands for an image; its bin/ comes first on PATH",
    )
    parser.add_argument(
        "--workdir", type=Path, default=None, help="where tasks of the nightlatch image start"
    )
    parser.add_argument(
        "--states-endpoint", metavar="URL", default=None, help="another Step Functions engine"
    )
    given = parser.parse_args(arguments)
    images = {}
    for image in given.image:
        name, equals, directory = image.partition("=")
        if not equals or not name or not directory:
            parser.error(f"--image wants NAME=DIR, not {image!r}")
        images[name] = Path(directory)
    return LocalOptions(
        state=given.state,
        port=given.port,
        region=os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or DEFAULT_REGION,
        account=LOCAL_ACCOUNT,
        runner=given.runner,
        images=images,
        workdir=given.workdir,
        states_endpoint=given.states_endpoint,
    )


def _leaves(group: BaseExceptionGroup[LocalStartError]) -> list[LocalStartError]:
    leaves: list[LocalStartError] = []
    for error in group.exceptions:
        leaves.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return leaves


if __name__ == "__main__":
    sys.exit(main())
