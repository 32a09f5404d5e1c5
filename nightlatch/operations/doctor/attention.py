"""What waits for a person: schedules that do not fire, locks whose holder is dead, alarms nobody hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.operations.doctor.finding import FAULT, OK, SKIPPED, WARNING, Finding, deploy_again, is_local
from nightlatch.operations.locks import STALE, list_locks
from nightlatch.operations.schedules import DISABLED, MISSING, list_schedules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nightlatch.catalog import Catalog
    from nightlatch.operations.deployment import Deployment


def check_schedules(
    deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None
) -> Iterator[Finding]:
    """Every schedule: deployed, enabled, or paused by somebody."""
    good = 0
    for status in list_schedules(deployment, jobs, catalog):
        if status.state == MISSING:
            yield Finding("schedules", FAULT, f"{status.job} is not deployed", deploy_again(deployment))
        elif status.state == DISABLED:
            fix = f"nightlatch schedule resume {status.job}"
            yield Finding("schedules", WARNING, f"{status.job} is disabled, nobody said why", fix)
        elif status.paused_by is not None:
            found = f"{status.job} is paused by {status.paused_by}: {status.paused_reason}"
            yield Finding("schedules", WARNING, found, f"nightlatch schedule resume {status.job}")
        else:
            good += 1
    yield Finding("schedules", OK, f"{good} enabled")


def check_locks(deployment: Deployment) -> Iterator[Finding]:
    """Locks that outlived their holder."""
    found = list_locks(deployment)
    for status in found:
        if status.state == STALE:
            dead = f"{status.key} is held by {status.run}, which has ended"
            fix = f"nightlatch locks release {status.key} --expect-token {status.fence}"
            yield Finding("locks", WARNING, dead, fix)
    held = sum(status.held for status in found)
    yield Finding("locks", OK, f"{len(found)} known, {held} held")


def check_alarms(deployment: Deployment, jobs: Sequence[str]) -> Iterator[Finding]:
    """Every job's alarm: there, switched on, calling somebody; and the topic: with somebody who listens."""
    names = deployment.installation
    pages = deployment.clients.client("cloudwatch").get_paginator("describe_alarms")
    alarms: dict[str, Any] = {
        alarm["AlarmName"]: alarm
        for page in pages.paginate(AlarmNamePrefix=f"{names.prefix}-", AlarmTypes=["MetricAlarm"])
        for alarm in page["MetricAlarms"]
    }
    if not alarms and is_local(deployment):
        yield Finding("alarms", SKIPPED, "the local AWS was set up without them")
        return
    good = 0
    for missing in [job for job in jobs if f"{names.prefix}-{job}-failed" not in alarms]:
        yield Finding("alarms", FAULT, f"no alarm watches {missing}", deploy_again(deployment))
    for name, alarm in alarms.items():
        if not alarm.get("AlarmActions"):
            yield Finding("alarms", FAULT, f"{name} calls nobody", deploy_again(deployment))
        elif not alarm.get("ActionsEnabled", True):
            fix = f"aws cloudwatch enable-alarm-actions --alarm-names {name}"
            yield Finding("alarms", WARNING, f"{name} is muted", fix)
        elif alarm.get("StateValue") == "ALARM":
            yield Finding("alarms", WARNING, f"{name} is ringing", _why(name, names.prefix, jobs))
        else:
            good += 1
    if good:
        yield Finding("alarms", OK, f"{good} of {len(alarms)} armed")
    yield from _listeners(deployment)


def _why(alarm: str, prefix: str, jobs: Sequence[str]) -> str:
    job = alarm.removeprefix(f"{prefix}-").removesuffix("-failed")
    return f"nightlatch why {job}" if job in jobs else f"aws cloudwatch describe-alarms --alarm-names {alarm}"


def _listeners(deployment: Deployment) -> Iterator[Finding]:
    topic = deployment.installation.topic_arn
    pages = deployment.clients.client("sns").get_paginator("list_subscriptions_by_topic")
    found = [one for page in pages.paginate(TopicArn=topic) for one in page["Subscriptions"]]
    # Until the receiver has agreed, the ARN is a word that says so.
    heard = [one for one in found if one["SubscriptionArn"].startswith("arn:")]
    if heard:
        yield Finding("alarms", OK, f"{len(heard)} listen to {topic.rsplit(':', 1)[1]}")
    elif not is_local(deployment):
        waiting = f", {len(found)} have not confirmed yet" if found else ""
        fix = f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS"
        yield Finding("alarms", WARNING, f"nobody listens to {topic.rsplit(':', 1)[1]}{waiting}", fix)
