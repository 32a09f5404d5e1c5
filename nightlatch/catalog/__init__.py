"""The jobs of an installation: ``jobs.yaml``, read, checked and completed.

:func:`load_catalog` is the way in. It never stops at the first mistake: :class:`CatalogError` carries all.
"""

from nightlatch.catalog.loading import declared_environments, load_catalog
from nightlatch.catalog.model import Catalog, Job, LockSettings, RetryWait, Schedule, Step
from nightlatch.catalog.problems import CODES, CatalogError, Problem
from nightlatch.catalog.settings import job_settings

__all__ = [
    "CODES",
    "Catalog",
    "CatalogError",
    "Job",
    "LockSettings",
    "Problem",
    "RetryWait",
    "Schedule",
    "Step",
    "declared_environments",
    "job_settings",
    "load_catalog",
]
