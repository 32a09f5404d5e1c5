"""The containers of a run's fan-outs: the attempts of its child executions, one for each shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlatch.operations.attempts import Attempt, HistoryReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nightlatch.operations.deployment import Deployment

# GetExecutionHistory refills at 20 requests a second for the whole account (quotas of Step Functions). So
# many children are read at most, unless one shard is asked for; the failed ones first: they are looked for.
AT_MOST = 40
_ORDER = ("FAILED", "TIMED_OUT", "ABORTED", "RUNNING", "SUCCEEDED")


class ShardReader:
    """Reads the shards' attempts again and again; a child that has ended is read once.

    Args:
        deployment: The environment.
        shard: Only the shard of this number; None for all, up to `AT_MOST`.

    Attributes:
        left_out: How many children the last look did not read.
    """

    def __init__(self, deployment: Deployment, shard: int | None = None) -> None:
        self._deployment = deployment
        self._client = deployment.clients.stepfunctions
        self._shard = shard
        self._open: dict[str, HistoryReader] = {}
        self._ended: dict[str, tuple[Attempt, ...]] = {}
        self.left_out = 0

    def read(self, map_runs: tuple[str, ...]) -> list[Attempt]:
        """The attempts so far, by map run and shard."""
        found: list[Attempt] = []
        self.left_out = 0
        for map_run in map_runs:
            looked_at = 0
            mine: list[Attempt] = []
            for arn, status in self._children(map_run):
                if self._shard is None and looked_at >= AT_MOST:
                    self.left_out += 1
                    continue
                looked_at += 1
                attempts = self._attempts(arn, ended=status != "RUNNING")
                mine += [one for one in attempts if self._shard is None or one.shard == self._shard]
                if mine and self._shard is not None:
                    break
            found += sorted(mine, key=lambda one: (one.shard or 0, one.number))
        return found

    def _children(self, map_run: str) -> Iterator[tuple[str, str]]:
        """Every child's ARN and status."""
        pages = self._client.get_paginator("list_executions")
        for status in _ORDER:
            try:
                for page in pages.paginate(mapRunArn=map_run, statusFilter=status):  # type: ignore[arg-type]
                    for child in page["executions"]:
                        yield child["executionArn"], child["status"]
            except self._client.exceptions.ResourceNotFound:
                return

    def _attempts(self, arn: str, *, ended: bool) -> tuple[Attempt, ...]:
        if arn in self._ended:
            return self._ended[arn]
        reader = self._open.setdefault(arn, HistoryReader(self._deployment, arn))
        attempts = reader.read().attempts
        if ended:
            self._ended[arn] = attempts
            del self._open[arn]
        return attempts
