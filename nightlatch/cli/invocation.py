"""One invocation of a command: its settings, where it writes, and what it opens on demand."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nightlatch.cli.output import Output
from nightlatch.cli.talk import Talk, make_console
from nightlatch.operations.deployment import Deployment, present
from nightlatch.operations.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightlatch.catalog import Catalog
    from nightlatch.cli.settings import Settings
    from nightlatch.operations.clients import Clients

JOBS_FILE = "jobs.yaml"
STATE_FOLDER = Path(".nightlatch/local")


def find_jobs_file(start: Path) -> Path | None:
    """The first jobs.yaml in `start` or in a folder above it."""
    for folder in (start, *start.parents):
        candidate = folder / JOBS_FILE
        if candidate.is_file():
            return candidate
    return None


class Invocation:
    """What a command works with.

    Args:
        settings: The shared options.
        environ: The environment; by default the process's.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
        self.settings = settings
        self.environ = os.environ if environ is None else environ
        self.now = present
        self.out = Output(make_console(sys.stdout, settings.color), settings.output, settings.time, self.now)
        self.talk = Talk(make_console(sys.stderr, settings.color), settings)

    def set_up_logging(self) -> None:
        """Keep the rooms' own log events off stdout: they are for machines, and only --debug shows them."""
        import logging  # noqa: PLC0415  neither is needed by `completion` or a usage error

        import structlog  # noqa: PLC0415

        level = logging.DEBUG if self.settings.debug else logging.CRITICAL
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(level),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        if self.settings.debug:
            logging.basicConfig(level=logging.INFO, stream=sys.stderr)
            logging.getLogger("botocore.endpoint").setLevel(logging.DEBUG)

    @cached_property
    def jobs_file(self) -> Path | None:
        """The jobs file in use, or None.

        Raises:
            OperationError: A file was named and is not there (FILE-001).
        """
        named = self.settings.file
        if named is None:
            return find_jobs_file(Path.cwd())
        if not named.is_file():
            raise OperationError("FILE-001", f"there is no jobs file {named}", tries=["--file PATH"])
        return named

    def need_jobs_file(self) -> Path:
        """The jobs file in use.

        Raises:
            OperationError: There is none (FILE-001).
        """
        if self.jobs_file is None:
            raise OperationError(
                "FILE-001",
                f"no {JOBS_FILE} in {Path.cwd()} or above",
                tries=["--file PATH", "NIGHTLATCH_FILE=PATH"],
            )
        return self.jobs_file

    @cached_property
    def catalog(self) -> Catalog:
        """The jobs of the environment, as the jobs file declares them.

        Raises:
            OperationError: There is no jobs file (FILE-001).
            CatalogError: It has mistakes; all of them are told.
        """
        from nightlatch.catalog import load_catalog  # noqa: PLC0415  pydantic is slow to import

        return load_catalog(self.need_jobs_file(), self.settings.env)

    @property
    def maybe_catalog(self) -> Catalog | None:
        """The catalog when there is a jobs file; an installation can be operated without one."""
        return self.catalog if self.jobs_file is not None else None

    @property
    def state_folder(self) -> Path:
        """Where the local AWS keeps its state: beside the jobs file unless told otherwise."""
        if self.settings.state is not None:
            return self.settings.state
        base = self.jobs_file.parent if self.jobs_file is not None else Path.cwd()
        return base / STATE_FOLDER

    @cached_property
    def clients(self) -> Clients:
        """Clients of the environment's AWS.

        Raises:
            OperationError: The environment is `local` and no local AWS runs (LOCAL-001).
        """
        from nightlatch.operations.clients import Clients  # noqa: PLC0415  boto3 is slow to import
        from nightlatch.operations.local_server import local_endpoint  # noqa: PLC0415

        if not self.settings.local:
            return Clients.at_aws(profile=self.settings.profile, region=self.settings.region)
        endpoint = self.environ.get("AWS_ENDPOINT_URL") or local_endpoint(self.state_folder)
        region = self.settings.region or self.environ.get("AWS_DEFAULT_REGION")
        return Clients.at_endpoint(endpoint, region=region)

    @cached_property
    def deployment(self) -> Deployment:
        """The environment within reach.

        Raises:
            InstallationError: It is not installed in this account and region.
        """
        from nightlatch.installation import Installation  # noqa: PLC0415

        installation = Installation.load(self.clients, self.settings.env)
        return Deployment(installation, self.clients, self.now)
