"""From a jobs file to a catalog of jobs, or to the list of everything that is wrong with it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from nightlatch.catalog.document import Unreadable, read_document
from nightlatch.catalog.merging import mapping, merged_job
from nightlatch.catalog.model import Catalog, job_of
from nightlatch.catalog.problems import CatalogError, Problem, choose
from nightlatch.catalog.rules import rule_problems
from nightlatch.catalog.structure import structural_problems

if TYPE_CHECKING:
    from pathlib import Path

    from nightlatch.catalog.document import Document


def load_catalog(path: Path, environment: str) -> Catalog:
    """The jobs of a file as they are in one environment.

    The whole file is checked, in every environment it declares: a mistake that only production would see is
    found on the laptop.

    Args:
        path: The jobs file.
        environment: One of the file's ``environments``.

    Raises:
        CatalogError: With every mistake of the file, or with the one that the environment is unknown.
    """
    document = _checked(path)
    file = mapping(document.root.plain())
    known = tuple(file["environments"])
    if environment not in known:
        place = document.mark(("environments",))
        message = f"unknown environment {environment}"
        raise CatalogError(
            path, [Problem(document.file, *place, "JOBS-040", message, choose(environment, known))]
        )
    jobs = {name: job_of(name, merged_job(file, name, environment)) for name in file["jobs"]}
    return Catalog(path, environment, known, MappingProxyType(jobs))


def declared_environments(path: Path) -> tuple[str, ...]:
    """The environments that a jobs file declares.

    Raises:
        CatalogError: With every mistake of the file.
    """
    return tuple(mapping(_checked(path).root.plain())["environments"])


def _checked(path: Path) -> Document:
    try:
        document = read_document(path)
    except Unreadable as error:
        raise CatalogError(path, [error.problem]) from error
    problems = [*document.problems, *structural_problems(document), *rule_problems(document)]
    if problems:
        raise CatalogError(path, problems)
    return document
