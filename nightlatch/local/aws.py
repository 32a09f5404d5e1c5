from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nightlatch.local.service import Service

OnWrite = Callable[[str, str, dict[str, Any]], None]


class Caller(Protocol):
    """Any AWS API, called in this process. ``Aws`` is the real one; tests bring small fakes."""

    async def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Call one operation.

        Args:
            service: The service as botocore names it: ``dynamodb``, ``ecs``, ``stepfunctions``, ``logs``.
            operation: The API's own name: ``UpdateItem``, ``RunTask``.
            params: The request with the API's own member names, as boto3 takes it.

        Returns:
            The reply with the API's own member names. Timestamps are epoch seconds (float); no
            ``ResponseMetadata``; a streaming body is ``bytes``.

        Raises:
            ApiError: The API refused.
        """
        ...


class MotoCaller(Protocol):
    """What ``Aws`` asks of the part that stands behind everything that is not ours."""

    async def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """As ``Caller.call``."""
        ...


class Aws:
    """Every AWS API of this process: ours directly, the others through botocore into moto.

    No socket is involved, and a write made here is journalled like one that came over HTTP.
    """

    def __init__(self, others: MotoCaller) -> None:
        self._others = others
        self._native: dict[str, tuple[Service, frozenset[str] | None]] = {}
        self._on_write: list[OnWrite] = []

    def provide(self, name: str, service: Service, operations: frozenset[str] | None = None) -> None:
        """Serve a botocore service name by ours from now on.

        Args:
            name: Such as ``ecs``.
            service: Who answers.
            operations: Only these (the rest stays with moto); all of them when absent.
        """
        self._native[name] = (service, operations)

    def native(self, name: str, operation: str) -> Service | None:
        """The service of ours that answers this operation, if any."""
        service, operations = self._native.get(name, (None, None))
        if service is None or (operations is not None and operation not in operations):
            return None
        return service

    def on_write(self, listener: OnWrite) -> None:
        """Have ``listener(service, operation, params)`` called after each acknowledged write to moto.

        Called in the trio thread, for calls from inside and over HTTP alike; ``params`` is the request
        body where it is JSON, else empty. It must not block.
        """
        self._on_write.append(listener)

    def written(self, service: str, operation: str, params: Mapping[str, Any]) -> None:
        """Tell the listeners of a write that moto acknowledged."""
        for listener in self._on_write:
            listener(service, operation, dict(params))

    async def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """As ``Caller.call``."""
        native = self.native(service, operation)
        if native is not None:
            return await native.call(operation, params)
        return await self._others.call(service, operation, params)
