"""The shape of JSON documents that are made of several results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.cli.output import plain

if TYPE_CHECKING:
    from nightlatch.operations.observation import Observation


def run_document(seen: Observation) -> dict[str, Any]:
    """A run as JSON shows it: the run's own members, with its attempts, progress and lock beside them."""
    document: dict[str, Any] = plain(seen.run)
    document |= {
        "at": plain(seen.at),
        "phase": seen.phase,
        "attempts": plain(seen.attempts),
        "fan_outs": plain(seen.fan_outs),
        "progress": plain(seen.progress),
        "lock": plain(seen.lock),
    }
    return document
