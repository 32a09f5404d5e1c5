from __future__ import annotations

import math
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Event = dict[str, Any]


class EventBus:
    """Carries EventBridge-shaped events from the services to whoever listens.

    Every subscriber receives every event published after it subscribed, in order. Publishing never waits:
    a slow subscriber has its own queue. Use from the trio thread only.
    """

    def __init__(self) -> None:
        self._subscribers: list[trio.MemorySendChannel[Event]] = []

    def publish(self, event: Event) -> None:
        """Hand one event to every subscriber."""
        for subscriber in self._subscribers:
            subscriber.send_nowait(event)

    @contextmanager
    def subscribe(self) -> Iterator[trio.MemoryReceiveChannel[Event]]:
        """Open a queue of the events published from now on; the queue closes with the context."""
        send, receive = trio.open_memory_channel[Event](math.inf)
        self._subscribers.append(send)
        try:
            yield receive
        finally:
            self._subscribers.remove(send)
            send.close()
            receive.close()


def service_event(
    *,
    source: str,
    detail_type: str,
    detail: dict[str, Any],
    resources: Sequence[str],
    account: str,
    region: str,
    at: float,
) -> Event:
    """Build the envelope that EventBridge puts around a service's own event.

    Args:
        source: Who speaks, such as ``aws.states`` or ``aws.ecs``.
        detail_type: Such as ``ECS Task State Change``.
        detail: The service's own part.
        resources: The ARNs concerned.
        account: Twelve digits.
        region: Such as ``ap-northeast-1``.
        at: Epoch seconds; the envelope has whole seconds only, as on AWS.
    """
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": list(resources),
        "detail": detail,
    }
