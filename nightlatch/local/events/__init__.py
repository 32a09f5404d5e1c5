"""EventBridge for the local AWS: schedules that fire, rules that match, targets that are called.

    events = create(options, aws=aws, bus=bus, clock=SystemClock())
    aws.provide("events", events, events.OPERATIONS)  # PutEvents and TestEventPattern; moto keeps the rules
    aws.on_write(events.on_write)                     # a changed schedule or rule is picked up at once
    await nursery.start(events.run)                   # after moto has its state back
    reply = await events.fire(group, name, "2026-11-21T21:00:00Z")

Definitions live in moto (``scheduler`` and ``events``) and are read through ``aws``. What was fired last and
what is still to be delivered is kept in ``<state>/events.sqlite``. ``fire`` is what
``POST /_nightlatch/schedules/{group}/{name}/fire`` with ``{"scheduled_time": "..."}`` answers with. The
server may call ``events.check(service, operation, params)`` before it hands a write to moto: it refuses what
AWS refuses (expressions, time zones, patterns) and moto does not.
"""

from nightlatch.local.events.service import Events, create

__all__ = ["Events", "create"]
