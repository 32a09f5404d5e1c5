"""All checks of an environment, one after the other; one that fails does not hide the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from lock.errors import LockError
from nightlatch.operations.aws_errors import translate, translate_lock
from nightlatch.operations.doctor.attention import check_alarms, check_locks, check_schedules
from nightlatch.operations.doctor.containers import check_cluster, check_images, check_task_definitions
from nightlatch.operations.doctor.finding import FAULT, SKIPPED, Finding, deploy_again
from nightlatch.operations.doctor.machines import check_machines
from nightlatch.operations.doctor.reach import check_clock, check_credentials
from nightlatch.operations.doctor.roles import check_roles
from nightlatch.operations.doctor.storage import check_log_group, check_table
from nightlatch.operations.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nightlatch.catalog import Catalog
    from nightlatch.operations.deployment import Deployment

_MAY_NOT: Final = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


def examine(deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None) -> Iterator[Finding]:
    """Check an environment that was found, one finding after the other.

    Args:
        deployment: The environment.
        jobs: The jobs that should be there.
        catalog: The jobs file, when at hand.
    """
    installation = deployment.installation
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("credentials", lambda: check_credentials(deployment)),
        ("clock", lambda: check_clock(deployment)),
        ("lock table", lambda: check_table(deployment, "lock table", installation.lock_table)),
        ("runs table", lambda: check_table(deployment, "runs table", installation.runs_table)),
        ("cluster", lambda: check_cluster(deployment)),
        ("log group", lambda: check_log_group(deployment)),
        ("machines", lambda: check_machines(deployment, jobs, catalog)),
        ("task definitions", lambda: check_task_definitions(deployment, catalog)),
        ("images", lambda: check_images(deployment, catalog)),
        ("roles", lambda: check_roles(deployment, jobs, catalog)),
        ("schedules", lambda: check_schedules(deployment, jobs, catalog)),
        ("alarms", lambda: check_alarms(deployment, jobs)),
        ("locks", lambda: check_locks(deployment)),
    ]
    for name, check in checks:
        try:
            yield from check()
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in _MAY_NOT:
                yield Finding(name, SKIPPED, f"these credentials may not look: {error}")
                continue
            told = translate(error, endpoint=deployment.clients.endpoint_url)
            yield Finding(name, FAULT, f"{told.message}: {error}", next(iter(told.tries), None))
        except LockError as error:
            told = translate_lock(error, endpoint=deployment.clients.endpoint_url)
            yield Finding(name, FAULT, told.message, deploy_again(deployment))
        except OperationError as error:
            yield Finding(name, FAULT, error.message, next(iter(error.tries), None))
