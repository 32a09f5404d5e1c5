"""What the task's main container was told, as seen from another container of the same task.

The state machine gives a run's variables to the container ``job`` only. The container that claims for a
foreign image reads them from the overrides of its own task (DescribeTasks shows them; its role allows that).
"""

from collections.abc import Mapping
from typing import Any, Final

from tasks.contract import variables
from tasks.runtime.failures import TemporaryError, WrongInputError
from tasks.runtime.metadata import task_arn

MAIN_CONTAINER: Final = "job"


def variables_of_the_job(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with the run's variables in it.

    It comes back unchanged where it has them already, and outside ECS.

    Raises:
        TemporaryError: if the metadata endpoint or ECS does not answer, or ECS does not know the task yet.
        WrongInputError: if the task's main container was given no variables.
    """
    if environment.get(variables.GRANT) or not environment.get(variables.METADATA_URI):
        return environment
    arn = task_arn(environment)
    for override in _task(arn).get("overrides", {}).get("containerOverrides", []):
        if override.get("name") == MAIN_CONTAINER:
            given = {str(entry["name"]): str(entry["value"]) for entry in override.get("environment", [])}
            if given.get(variables.GRANT):
                return {**environment, **given}
    raise WrongInputError(
        f"task {arn} was started without {variables.GRANT} for its container {MAIN_CONTAINER!r}: "
        "only the job's state machine can start it"
    )


def _task(arn: str) -> dict[str, Any]:
    import boto3  # noqa: PLC0415  (slow to import, and most containers never come here)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    # arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID
    cluster = arn.split("/")[1]
    try:
        tasks = boto3.client("ecs").describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
    except (BotoCoreError, ClientError) as error:
        raise TemporaryError(f"ECS did not say what task {arn} was told: {error}") from None
    if not tasks:
        raise TemporaryError(f"ECS does not know task {arn} yet")
    return dict(tasks[0])
