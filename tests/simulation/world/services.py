"""The service integrations of the simulated world, with faults on the way there and back."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import trio

from statemachine.interpreter import TaskFailed, TaskRequest
from tests.simulation.world.ecs import Ecs, Task
from tests.simulation.world.errors import ServiceError
from tests.simulation.world.executions import Executions
from tests.simulation.world.faults import Call, Faults, through
from tests.simulation.world.lock_table import LockTable
from tests.simulation.world.runs_table import RunsTable
from tests.simulation.world.shards import Shards

Handler: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

# Error names carry the service's prefix; mind the letters.
_PREFIX = {
    ("dynamodb", False): "DynamoDB",
    ("dynamodb", True): "DynamoDb",
    ("ecs", False): "ECS",
    ("ecs", True): "Ecs",
    ("s3", False): "S3",
    ("sfn", True): "Sfn",
    ("sns", False): "SNS",
}


class Services:
    """Integrations over the simulated services.

    Attributes:
        published: the SNS messages, as requested.
        launch_refusals: errors that the next launches meet: an error name, or `failures`.
        control_plane_is_down: while set, work is not stopped when an execution is.
    """

    def __init__(
        self,
        *,
        locks: LockTable,
        runs: RunsTable,
        ecs: Ecs,
        executions: Executions,
        shards: Shards,
        faults: Faults,
    ) -> None:
        self._locks = locks
        self._runs = runs
        self._ecs = ecs
        self._executions = executions
        self._faults = faults
        self.published: list[dict[str, Any]] = []
        self.launch_refusals: list[str] = []
        self.control_plane_is_down = False
        self._calls: dict[tuple[str, str], Handler] = {
            ("dynamodb", "updateItem"): locks.update,
            ("dynamodb", "getItem"): locks.get,
            ("dynamodb", "putItem"): runs.put,
            ("dynamodb", "query"): runs.query,
            ("dynamodb", "scan"): locks.scan,
            ("ecs", "runTask"): self._launch,
            ("ecs", "stopTask"): lambda a: ecs.stop(a["Task"]),
            ("ecs", "describeTasks"): lambda a: ecs.describe(a["Tasks"]),
            ("ecs", "listTasks"): lambda a: ecs.list_tasks(a["Family"], a["DesiredStatus"]),
            ("sfn", "describeExecution"): lambda a: executions.describe(
                a["ExecutionArn"], metadata_only=a.get("IncludedData") == "METADATA_ONLY"
            ),
            ("sfn", "stopExecution"): lambda a: executions.stop(a["ExecutionArn"], a["Error"], a["Cause"]),
            ("sfn", "listExecutions"): lambda a: executions.list_executions(a["StateMachineArn"]),
            ("sfn", "listStateMachines"): lambda _: executions.list_machines(),
            ("sns", "publish"): self._publish,
            ("s3", "getObject"): shards.get,
        }

    async def submit(self, request: TaskRequest) -> Any:
        """One call."""
        call = Call.of(request)
        fault = await through(call, self._faults)
        prefix = _PREFIX[request.service, request.sdk]
        if fault == "lost request":
            raise TaskFailed(f"{prefix}.InternalServerError", "the request was lost")
        try:
            if fault == "doubled":
                self._calls[request.service, request.action](request.arguments)
            answer = self._calls[request.service, request.action](request.arguments)
        except ServiceError as error:
            code = error.code if "." in error.code else f"{prefix}.{error.code}"
            raise TaskFailed(code, f"{error.message} (Service: simulated)") from error
        await trio.sleep(self._faults.delay(call) / 2)
        if fault == "lost reply":
            raise TaskFailed(f"{prefix}.InternalServerError", "the reply was lost")
        return answer

    async def wait(self, request: TaskRequest, submitted: Any) -> Any:
        """Until the task has stopped and Step Functions has noticed."""
        task = self._ecs.tasks[submitted["Tasks"][0]["TaskArn"]]
        await task.stopped.wait()
        await trio.sleep(self._faults.delay(Call.of(request)))
        if task.exit_code == 0 and task.stop_code == "EssentialContainerExited":
            return task.shown()
        raise TaskFailed("States.TaskFailed", json.dumps(task.shown()))

    async def cancel(self, request: TaskRequest, submitted: Any) -> None:
        """Best effort, as the documentation says."""
        if self.control_plane_is_down:
            return
        arn = submitted["Tasks"][0]["TaskArn"]
        self._ecs.stop(arn)
        await self._ecs.tasks[arn].stopped.wait()

    def _launch(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.launch_refusals:
            refusal = self.launch_refusals.pop(0)
            if refusal == "failures":
                raise ServiceError("AmazonECS.Unknown", "Capacity is unavailable at this time.")
            raise ServiceError(refusal, "refused")
        task: Task = self._ecs.run(arguments)
        return {"Tasks": [task.shown()], "Failures": []}

    def _publish(self, arguments: dict[str, Any]) -> dict[str, Any]:
        assert len(arguments["Subject"]) <= 100
        assert arguments["Subject"].isascii()
        assert "\n" not in arguments["Subject"]
        self.published.append(arguments)
        return {"MessageId": str(len(self.published))}
