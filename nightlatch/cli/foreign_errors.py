"""Errors of other rooms and of boto3, in this project's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore import exceptions as aws

from lock.errors import LockError
from nightlatch.catalog import CatalogError
from nightlatch.installation import InstallationError
from nightlatch.operations.aws_errors import UNREACHABLE, translate, translate_lock
from nightlatch.operations.codes import CODES
from nightlatch.operations.errors import OperationError

if TYPE_CHECKING:
    from nightlatch.cli.invocation import Invocation


def as_operation_error(error: Exception, invocation: Invocation) -> OperationError:
    """Translate any exception that can leave a command."""
    endpoint = invocation.clients.endpoint_url if "clients" in vars(invocation) else None
    if isinstance(error, OperationError):
        return error
    if isinstance(error, CatalogError):
        return _catalog_error(error)
    if isinstance(error, InstallationError):
        code = error.code if error.code in CODES else "INSTALL-003"
        return OperationError(code, str(error), tries=[error.hint])
    if invocation.settings.local and isinstance(error.__cause__ or error, UNREACHABLE):
        return OperationError(
            "LOCAL-001",
            "the local AWS does not answer",
            facts=[("endpoint", endpoint or "-")],
            tries=["nightlatch local up --detach"],
        )
    return _of_services(error, endpoint) or OperationError(
        "BUG-001",
        "this should not have happened",
        facts=[("why", f"{type(error).__name__}: {error}")],
        tries=["the same command with --debug"],
    )


def _of_services(error: Exception, endpoint: str | None) -> OperationError | None:
    if isinstance(error, LockError):
        return translate_lock(error, endpoint=endpoint)
    if isinstance(error, (aws.BotoCoreError, aws.ClientError)):
        return translate(error, endpoint=endpoint)
    return None


def _catalog_error(error: CatalogError) -> OperationError:
    """Every mistake of a jobs file as one error, each with its place."""
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
