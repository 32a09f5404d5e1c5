"""``python -m tasks``: what the container's entry point understands.

Imports little: the handlers for SIGTERM must stand before anything that takes a second.
"""

import argparse
import difflib
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from tasks.contract import Assignment, AssignmentError, exit_codes
from tasks.jobs import JOBS
from tasks.runtime.failures import RuntimeFailure, WrongInputError
from tasks.runtime.output import Output
from tasks.runtime.signals import StopSignals

_EPILOG = """\
examples:
  python -m tasks run sitemap-refresh --site https://www.example.com/
  python -m tasks run -- ruby bin/rake sitemap:refresh
  python -m tasks claim --directory /nightlatch      (init container of a foreign image)

exit codes:
  0 done   64 wrong input   70 a defect   73 output cannot be written   75 try again   143 stopped
  anything else is the job's own
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(exit_codes.WRONG_INPUT, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run a job or claim for one; returns the exit code."""
    stop = StopSignals()
    output = Output(sys.stdout.fileno())
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        if options.action == "claim":
            return _claim(Path(options.directory))
        assignment = Assignment.read(os.environ)
        command = _command(options.job)
    except AssignmentError as error:
        return _complain(str(error), exit_codes.WRONG_INPUT)
    except RuntimeFailure as failure:
        return _complain(str(failure), failure.exit_code)
    from tasks.runtime.supervisor import Supervisor  # noqa: PLC0415  (after the signal handlers)

    return Supervisor(command, assignment, os.environ, stop=stop, output=output).run()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m tasks",
        description="Run one attempt of a job: claim its lock, keep its deadline, checkpoint, publish.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    run = actions.add_parser("run", help="run a job that is part of the image, or any command after --")
    run.add_argument("job", nargs=argparse.REMAINDER, metavar="NAME ARGS... | -- COMMAND...")
    claim = actions.add_parser("claim", help="claim the lock for another container of this task, and end")
    claim.add_argument("--directory", required=True, help="a directory both containers see")
    return parser.parse_args(arguments)


def _command(words: list[str]) -> list[str]:
    if words[:1] == ["--"]:
        if not words[1:]:
            raise WrongInputError("run -- wants a command after it")
        return words[1:]
    if not words:
        raise WrongInputError(f"run wants a job's name ({', '.join(sorted(JOBS))}) or -- COMMAND")
    name, *rest = words
    module = JOBS.get(name)
    if module is None:
        near = difflib.get_close_matches(name, JOBS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(JOBS))}"
        raise WrongInputError(f"no job {name!r} in this image; {hint} (any program: run -- COMMAND)")
    return [sys.executable, "-m", module, *rest]


def _claim(directory: Path) -> int:
    from tasks.runtime.claim import claim, write_claim  # noqa: PLC0415  (after the signal handlers)
    from tasks.runtime.own_task import variables_of_the_job  # noqa: PLC0415  (the same)

    assignment = Assignment.read(variables_of_the_job(os.environ))
    claimed = claim(assignment, os.environ)
    if claimed is None:
        raise WrongInputError("there is nothing to claim: the lock variables are not set")
    write_claim(directory, claimed)
    line = {"event": "claimed", "lock": claimed.lock_key, "task": claimed.task_arn, "token": claimed.token}
    sys.stdout.write(json.dumps(line) + "\n")
    return exit_codes.DONE


def _complain(reason: str, code: int) -> int:
    sys.stderr.write(f"tasks: {reason}\n")
    return code
