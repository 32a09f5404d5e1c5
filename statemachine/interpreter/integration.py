"""What a Task state asks of the outside world, and how the world answers."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

Pattern = Literal["request_response", "sync", "sync:2", "task_token"]


@dataclass(frozen=True)
class TaskRequest:
    """One call of a service integration by a Task state.

    Attributes:
        resource: the `Resource` of the state, e.g. `arn:aws:states:::ecs:runTask.sync`.
        service: the service as the ARN spells it: `ecs`, `dynamodb`, `states`, `sfn`.
        action: the API action in camelCase, without the pattern: `runTask`.
        sdk: True for `aws-sdk:` integrations, whose error names use another prefix
            (`DynamoDb.` instead of `DynamoDB.`).
        pattern: how the result arrives.
        arguments: the evaluated `Arguments` (PascalCase members).
        execution_arn: the execution that asks.
        state_name: the Task state that asks.
        token: the task token; the same text as `$states.context.Task.Token`. None for request-response.
    """

    resource: str
    service: str
    action: str
    sdk: bool
    pattern: Pattern
    arguments: Any
    execution_arn: str
    state_name: str
    token: str | None


class TaskFailed(Exception):  # noqa: N818 - the word that history events use
    """The service, or the work behind it, answered with an error.

    Attributes:
        error: the AWS error name that Retry and Catch match, e.g. `ECS.ClientException`; at most 256
            characters. None only where AWS has none (SendTaskFailure without an error).
        cause: the text for people, or the JSON text of the failed work; at most 32,768 characters.
    """

    def __init__(self, error: str | None, cause: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Integrations(Protocol):
    """The services behind Task states. One object may serve many executions at once."""

    async def submit(self, request: TaskRequest) -> Any:
        """Starts the call and returns the service's reply (PascalCase members, plain JSON).

        For request-response the reply is the state's result. For the other patterns it is what
        `TaskSubmitted` shows. A `.sync` submit runs shielded from cancellation, because without its reply
        nothing could be stopped: it must end by itself.

        Raises:
            TaskFailed: the service refused.
        """
        ...

    async def wait(self, request: TaskRequest, submitted: Any) -> Any:
        """Only `.sync` and `.sync:2`: returns the result once the work has ended.

        Cancelled when the state ends for another reason; must then leave the work alone.

        Raises:
            TaskFailed: the work ended badly.
        """
        ...

    async def cancel(self, request: TaskRequest, submitted: Any) -> None:
        """Only `.sync` and `.sync:2`: stops the work and returns when it is really gone.

        Called shielded when the scope of a running task ended: its timeout, StopExecution, the machine's
        timeout, or a failed sibling. Must not raise for work that has already ended.
        """
        ...
