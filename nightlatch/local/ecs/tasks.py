from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.bus import service_event
from nightlatch.local.ecs.names import Names, family_and_revision, task_id
from nightlatch.local.ecs.paging import page
from nightlatch.local.ecs.run_rules import check_run
from nightlatch.local.ecs.task import Task, event_detail, new_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nightlatch.local.bus import EventBus
    from nightlatch.local.ecs.clusters import Clusters
    from nightlatch.local.ecs.definitions import Definitions
    from nightlatch.local.ecs.store import Store
    from nightlatch.local.ecs.tags import Tags
    from statemachine.interpreter import Clock

KEEP_SECONDS = 24 * 3600
"""How long a stopped task stays visible. AWS promises an hour; a night wants to be looked at next morning."""

MOST_DESCRIBED = 100
NO_CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different availability zone"
)


class Tasks:
    """Tasks as the API sees them. Each change is on file before anybody hears of it.

    Args:
        store: Where tasks are kept.
        names: Builds ARNs.
        clusters: Clusters of this service.
        definitions: Task definitions of this service.
        tags: Tags of this service.
        bus: Hears of every change.
        clock: The time of day.
        no_capacity: While this file exists, RunTask fails for lack of capacity.
    """

    def __init__(
        self,
        *,
        store: Store,
        names: Names,
        clusters: Clusters,
        definitions: Definitions,
        tags: Tags,
        bus: EventBus,
        clock: Clock,
        no_capacity: Path,
    ) -> None:
        self._store = store
        self._names = names
        self._clusters = clusters
        self._definitions = definitions
        self._tags = tags
        self._bus = bus
        self._clock = clock
        self._no_capacity = no_capacity
        self._tokens: dict[str, dict[str, Any]] = store.all("token")
        self.all: dict[str, Task] = {key: Task.restored(saved) for key, saved in store.all("task").items()}
        clusters.count_tasks = self._count

    def find(self, arn: str) -> Task:
        """The task of an ARN or id.

        Raises:
            ApiError: ``InvalidParameterException``.
        """
        task = self.all.get(task_id(arn))
        if task is None:
            raise ApiError("InvalidParameterException", "The referenced task was not found.")
        return task

    def now(self) -> float:
        """Epoch seconds, in whole milliseconds as the API tells times."""
        return round(self._clock.now(), 3)

    def changed(self, task: Task, **members: Any) -> None:
        """Change a task's document, put it on file, tell the bus."""
        task.document.update(members)
        task.document["version"] += 1
        self.save(task)
        self._publish(task)

    def save(self, task: Task) -> None:
        """Put a task on file without telling anybody."""
        self._store.put("task", task.id, task.saved())

    def request_stop(self, task: Task, code: str, reason: str) -> None:
        """Have a task end. The first reason stays."""
        if task.stop_requested.is_set():
            return
        self.changed(
            task, desiredStatus="STOPPED", stopCode=code, stoppedReason=reason, stoppingAt=self.now()
        )
        task.stop_requested.set()

    def shown(self, task: Task, *, tags: bool = False) -> dict[str, Any]:
        """A task as DescribeTasks shows it."""
        return {**copy.deepcopy(task.document), "tags": self._tags.of(task.arn) if tags else []}

    def run(self, request: dict[str, Any], begin: Callable[[Task], None]) -> dict[str, Any]:
        """RunTask.

        Args:
            request: As in the API.
            begin: Called for each new task, once it is on file.
        """
        cluster = self._clusters.require(request.get("cluster"))
        definition = self._definitions.find(request.get("taskDefinition") or "")
        if definition is None:
            raise ApiError("ClientException", "TaskDefinition not found.")
        if not request.get("launchType") and not request.get("capacityProviderStrategy"):
            request = {**request, "capacityProviderStrategy": self._clusters.default_strategy(cluster)}
        check_run(request, definition)
        token_key = f"{cluster}/{request['clientToken']}" if request.get("clientToken") else None
        fingerprint = _fingerprint({**request, "taskDefinition": definition["taskDefinitionArn"]})
        if token_key in self._tokens:
            return self._earlier(self._tokens[token_key], fingerprint)
        if self._no_capacity.exists():
            return {"tasks": [], "failures": [{"reason": NO_CAPACITY}]}
        tasks = [
            Task(
                new_document(self._names, cluster, definition, request, self.now()), copy.deepcopy(definition)
            )
            for _ in range(request.get("count", 1))
        ]
        tags = self._new_tags(request, definition)
        for task in tasks:
            self._tags.replace(task.arn, tags)
        self._store.put_all("task", {task.id: task.saved() for task in tasks})
        if token_key is not None:
            self._tokens[token_key] = {"tasks": [task.id for task in tasks], "request": fingerprint}
            self._store.put("token", token_key, self._tokens[token_key])
        for task in tasks:
            self.all[task.id] = task
            self._publish(task)
            begin(task)
        return {"tasks": [self.shown(task, tags=True) for task in tasks], "failures": []}

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """StopTask: returns at once; the task is STOPPED when its containers are gone."""
        self._clusters.require(request.get("cluster"))
        task = self._in_cluster(request.get("task") or "", request)
        if task is None:
            raise ApiError("InvalidParameterException", "The referenced task was not found.")
        # "Any tags associated with the task are deleted" (API reference, StopTask).
        self._tags.forget(task.arn)
        self.request_stop(task, "UserInitiated", request.get("reason") or "Task stopped by user")
        return {"task": self.shown(task)}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeTasks."""
        cluster = self._clusters.require(request.get("cluster"))
        references = request.get("tasks") or []
        if not references:
            raise ApiError("InvalidParameterException", "Tasks cannot be empty.")
        if len(references) > MOST_DESCRIBED:
            raise ApiError(
                "InvalidParameterException", f"Tasks cannot have more than {MOST_DESCRIBED} entries."
            )
        found, failures = [], []
        for reference in references:
            task = self._in_cluster(reference, request)
            if task is None:
                arn = reference if reference.startswith("arn:") else self._names.task(cluster, reference)
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(self.shown(task, tags="TAGS" in (request.get("include") or [])))
        return {"tasks": found, "failures": failures}

    def list_all(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTasks, oldest first. Filters by *desired* status, RUNNING by default."""
        cluster = self._clusters.require(request.get("cluster"))
        started_by, family = request.get("startedBy"), request.get("family")
        if started_by and (family or request.get("serviceName")):
            raise ApiError(
                "InvalidParameterException", "Cannot specify startedBy together with another filter."
            )
        wanted = request.get("desiredStatus") or "RUNNING"
        if request.get("containerInstance") or request.get("serviceName"):
            return page([], request, "taskArns")
        found = [
            (task.document["createdAt"], task.arn)
            for task in self.all.values()
            if task.cluster == cluster
            and task.document["desiredStatus"] == wanted
            and started_by in {None, task.document.get("startedBy")}
            and family in {None, family_and_revision(task.document["taskDefinitionArn"])[0]}
            and request.get("launchType") in {None, task.document["launchType"]}
        ]
        return page([arn for _, arn in sorted(found)], request, "taskArns")

    def forget_old(self) -> list[str]:
        """Forget tasks that stopped long ago, and return their ids."""
        oldest = self.now() - KEEP_SECONDS
        gone = [key for key, task in self.all.items() if task.document.get("stoppedAt", oldest) < oldest]
        for key in gone:
            task = self.all.pop(key)
            self._store.delete("task", key)
            self._tags.forget(task.arn)
        for token, kept in list(self._tokens.items()):
            if not any(key in self.all for key in kept["tasks"]):
                del self._tokens[token]
                self._store.delete("token", token)
        return gone

    def _earlier(self, kept: dict[str, Any], fingerprint: str) -> dict[str, Any]:
        if kept["request"] != fingerprint:
            raise ApiError(
                "ConflictException",
                "The client token was used before with different parameters, for:"
                f" {', '.join(self.all[key].arn for key in kept['tasks'] if key in self.all)}.",
            )
        tasks = [self.shown(self.all[key], tags=True) for key in kept["tasks"] if key in self.all]
        return {"tasks": tasks, "failures": []}

    def _new_tags(self, request: dict[str, Any], definition: dict[str, Any]) -> list[dict[str, str]]:
        tags = {}
        if request.get("propagateTags") == "TASK_DEFINITION":
            tags = {tag["key"]: tag for tag in self._tags.of(definition["taskDefinitionArn"])}
        tags.update({tag["key"]: tag for tag in request.get("tags") or []})
        return list(tags.values())

    def _in_cluster(self, reference: str, request: dict[str, Any]) -> Task | None:
        task = self.all.get(task_id(reference))
        cluster = self._clusters.require(request.get("cluster"))
        return task if task is not None and task.cluster == cluster else None

    def _count(self, cluster: str) -> tuple[int, int]:
        states = [
            task.document["lastStatus"]
            for task in self.all.values()
            if task.cluster == cluster and not task.stopped.is_set()
        ]
        pending = sum(state in {"PROVISIONING", "PENDING", "ACTIVATING"} for state in states)
        return pending, len(states) - pending

    def _publish(self, task: Task) -> None:
        self._bus.publish(
            service_event(
                source="aws.ecs",
                detail_type="ECS Task State Change",
                detail=event_detail(task.document),
                resources=[task.arn],
                account=self._names.account,
                region=self._names.region,
                at=self._clock.now(),
            )
        )


def _fingerprint(request: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
