"""What must hold when a night is over, whatever happened in it."""

from collections.abc import Iterator
from typing import Any

from tests.simulation.world.executions import Execution
from tests.simulation.world.simulation import World
from tests.support.definitions import PREFIX

GOOD = {"succeeded", "skipped", "duplicate"}
# A cause that is not JSON is tried and caught; nothing else may fail to evaluate.
_MAY_FAIL = {"ParseCause"}


def broken_promises(world: World) -> list[str]:
    """Everything that does not hold."""
    return [
        *_locks_are_free(world),
        *_nothing_runs(world),
        *_every_run_is_recorded_truthfully(world),
        *_one_success_for_one_time(world),
        *_what_is_missing_was_noticed(world),
        *_no_definition_failed(world),
    ]


def _locks_are_free(world: World) -> Iterator[str]:
    for key, item in world.locks.items.items():
        if item.holder is not None:
            yield f"lock {key} is still held by {item.holder.run}"
        elif item.queue or item.queue_ids or item.stale_tasks or item.lease_expires_at is not None:
            yield f"lock {key} is free and not clean: {item}"
        elif item.ttl is None:
            yield f"lock {key} is free and would stay for ever"


def _nothing_runs(world: World) -> Iterator[str]:
    for execution in world.executions.running():
        yield f"{execution.name} still runs in {execution.states[-1]}"
    for task in world.ecs.alive():
        yield f"{task.name} is not stopped"


def _runs(world: World) -> Iterator[tuple[str, Execution]]:
    for execution in world.executions.all.values():
        job = execution.machine.removeprefix(f"{PREFIX}-")
        if job in world.jobs:
            yield job, execution


def _every_run_is_recorded_truthfully(world: World) -> Iterator[str]:
    records: dict[str, list[dict[str, Any]]] = {}
    for record in world.runs.records():
        records.setdefault(record["name"], []).append(record)
    for job, run in _runs(world):
        found = records.pop(run.name, [])
        if len(found) != 1:
            yield f"{run.name} ({run.status}) has {len(found)} records: {found}"
            continue
        (record,) = found
        outcome, told = record["outcome"], _outcome_of(run)
        # A run that was stopped after it had recorded itself keeps its own word.
        itself = "recorded_by" not in record and run.status in {"ABORTED", "TIMED_OUT"}
        if outcome != told and not itself:
            yield f"{run.name} ended as {told} and is recorded as {outcome}"
        if record["job"] != job or record["execution_arn"] != run.arn:
            yield f"{run.name} is recorded as {record}"
        if outcome == "succeeded":
            names = [one["name"] for one in world.jobs[job]["steps"]]
            first = (run.input or {}).get("resume_from") or names[0]
            for name in names[names.index(first) :]:
                if (run.name, name) not in world.observer.finished:
                    yield f"{run.name} is recorded as succeeded, but step {name} was never finished"
    for name in records:
        yield f"there is a record of {name}, which never was"


def _outcome_of(run: Execution) -> str:
    if run.status == "SUCCEEDED":
        return str(run.output["outcome"])
    if run.status == "FAILED":
        return str(run.report.get("outcome")) if run.result and run.result.error else "failed"
    return {"ABORTED": "stopped", "TIMED_OUT": "timed_out"}[run.status]


def _one_success_for_one_time(world: World) -> Iterator[str]:
    good: dict[tuple[str, str], list[str]] = {}
    for record in world.runs.records():
        if record["outcome"] == "succeeded" and "run_key" in record:
            good.setdefault((record["job"], record["run_key"]), []).append(record["name"])
    for (job, time), names in good.items():
        if len(names) > 1:
            yield f"{job} of {time} succeeded {len(names)} times: {names}"


def _what_is_missing_was_noticed(world: World) -> Iterator[str]:
    succeeded = {
        (record["job"], record["run_key"])
        for record in world.runs.records()
        if record["outcome"] == "succeeded" and "run_key" in record
    }
    watched: dict[tuple[str, str], list[Execution]] = {}
    for execution in world.executions.all.values():
        if execution.machine == f"{PREFIX}-watchdog":
            key = (execution.input["job"], execution.input["scheduled_time"])
            watched.setdefault(key, []).append(execution)
    for (job, time), dogs in watched.items():
        told = [
            message
            for message in world.services.published
            if message["MessageAttributes"]["outcome"]["StringValue"] == "missing"
            and message["Message"].startswith(f"{job} of {time} ")
        ]
        # A reply lost on the way back makes the same execution publish again; others never may.
        tellers = [dog for dog in dogs if dog.status == "SUCCEEDED" and dog.output["verdict"] == "told"]
        if len(tellers) > 1:
            yield f"{len(tellers)} watchdogs told about {job} of {time}"
        failed = any(dog.status != "SUCCEEDED" for dog in dogs)
        if (job, time) not in succeeded and not told and not failed:
            yield f"{job} of {time} did not succeed and nobody was told"


def _no_definition_failed(world: World) -> Iterator[str]:
    for execution in world.executions.all.values():
        for event in execution.history:
            if event.type == "EvaluationFailed":
                details = event.details["evaluationFailedEventDetails"]
                if details.get("state") not in _MAY_FAIL:
                    yield f"{execution.name}: {details}"
        error = execution.result.error if execution.result else None
        if error is not None and error.startswith("States."):
            yield f"{execution.name} failed with {error}: {execution.result and execution.result.cause}"
