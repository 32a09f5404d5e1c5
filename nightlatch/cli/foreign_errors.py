"""Errors of other rooms and of boto3, in this project's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlatch.operations.codes import CODES
from nightlatch.operations.errors import OperationError

if TYPE_CHECKING:
    from nightlatch.cli.invocation import Invocation


def as_operation_error(error: Exception, invocation: Invocation) -> OperationError:
    """Translate any exception that can leave a command."""
    from botocore import exceptions as aws  # noqa: PLC0415  slow to import, and only needed after a failure

    from nightlatch.catalog import CatalogError  # noqa: PLC0415  the same
    from nightlatch.installation import InstallationError  # noqa: PLC0415
    from nightlatch.operations.aws_errors import translate  # noqa: PLC0415

    if isinstance(error, CatalogError):
        return catalog_error(error)
    if isinstance(error, InstallationError):
        code = error.code if error.code in CODES else "INSTALL-003"
        return OperationError(code, str(error), tries=[error.hint])
    if isinstance(error, (aws.BotoCoreError, aws.ClientError)):
        endpoint = invocation.clients.endpoint_url if "clients" in vars(invocation) else None
        if invocation.settings.local and isinstance(error, aws.HTTPClientError):
            return OperationError(
                "LOCAL-001",
                "the local AWS does not answer",
                facts=[("endpoint", endpoint or "-")],
                tries=["nightlatch local up --detach"],
            )
        return translate(error, endpoint=endpoint)
    return OperationError(
        "BUG-001",
        "this should not have happened",
        facts=[("why", f"{type(error).__name__}: {error}")],
        tries=["the same command with --debug"],
    )


def catalog_error(error: object) -> OperationError:
    """Every mistake of a jobs file as one error, each with its place."""
    from nightlatch.catalog import CatalogError  # noqa: PLC0415

    if not isinstance(error, CatalogError):
        raise TypeError(error)
    count = len(error.problems)
    facts = []
    for problem in error.problems:
        place = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
        facts.append((problem.code, f"{place}: {problem.message}\n{problem.hint}"))
    return OperationError(
        "FILE-002",
        f"{error.path} has {count} mistake{'' if count == 1 else 's'}",
        facts=facts,
        tries=["nightlatch validate"],
    )
