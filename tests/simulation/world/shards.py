"""The bucket of the simulated world, as far as a fan-out uses it: lists of shards, and what was published."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.world.errors import ServiceError


@dataclass
class Shards:
    """Lists by key, and the publications of shards by location.

    Attributes:
        published: which container published a location; the first wins.
        refused: publications that came second, as (location, container).
    """

    lists: dict[str, str] = field(default_factory=dict)
    published: dict[str, str] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def write_list(self, location: str, shards: list[Any]) -> None:
        """What the runtime does with a planning step's `shards.json`: the first list of a run stays."""
        self.lists.setdefault(location.split("/", 3)[3], json.dumps(shards))

    def publish(self, location: str, container: str) -> None:
        """One conditional write."""
        if location in self.published:
            self.refused.append((location, container))
        else:
            self.published[location] = container

    def get(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """GetObject."""
        if arguments["Key"] not in self.lists:
            raise ServiceError("NoSuchKey", "The specified key does not exist.")
        return {"Body": self.lists[arguments["Key"]]}
