"""Errors of operations: what happened, why, and what to try.

`OperationError` is the only exception that leaves an operation on purpose; botocore's own errors pass through
and are translated at the edge (`nightlatch.operations.aws_errors`).
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from nightlatch.operations.codes import CODES, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_SHOWN = 8


class OperationError(Exception):
    """An operation could not do its work.

    Attributes:
        code: A key of `nightlatch.operations.codes.CODES`.
        message: What happened, in lower case and without a full stop.
        facts: Why: label and value, shown one per line.
        tries: What to do: commands or short advice.
        request_id: The AWS request id, when AWS refused.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        facts: Sequence[tuple[str, str]] = (),
        tries: Sequence[str] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.facts = tuple(facts)
        self.tries = tuple(tries)
        self.request_id = request_id

    @property
    def exit_code(self) -> ExitCode:
        """The exit status that belongs to the code."""
        return CODES[self.code].exit_code


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def no_such_job(name: str, known: Iterable[str]) -> OperationError:
    """The error for an unknown job name, with the nearest one."""
    names = sorted(known)
    facts = [("jobs", ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else ""))] if names else []
    guess = nearest(name, names)
    tries = [f"did you mean {guess}?"] if guess else []
    return OperationError(
        "JOB-001", f"no job is called {name!r}", facts=facts, tries=[*tries, "nightlatch jobs"]
    )
