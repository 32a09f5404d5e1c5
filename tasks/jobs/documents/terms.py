"""What the plan decided for all shards, and a shard as it stands in the list: the seam between two steps."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tasks.jobs.documents import places
from tasks.jobs.documents.allowance import Limits
from tasks.jobs.documents.pool import Prices
from tasks.jobs.documents.question import Question
from tasks.jobs.program import JobError

_VERSION: Final = 1
ENGINES: Final = ("linear", "chat", "batch")


@dataclass(frozen=True, slots=True)
class Terms:
    """The same for every shard.

    `engine` is ``linear``, ``chat`` (a request for each batch) or ``batch`` (a provider's batch service);
    `model` is part of every work id; `classifier` names the file with the linear model; `batch` is how many
    documents go into one request; `seconds` bounds a request; `tries` is how often a document is sent before
    it is given up; `outage_seconds` is how long nothing at all may succeed; `poll_seconds` lies
    between two looks at a batch service; `budget` is where the shared
    allowance lies.
    """

    question: Question
    engine: str
    model: str
    planned_at: float
    containers: int = 1
    batch: int = 1
    concurrency: int = 64
    first: int = 8
    seconds: float = 60.0
    tries: int = 5
    outage_seconds: float = 300.0
    poll_seconds: float = 30.0
    classifier: str = ""
    budget: str = ""
    limits: Limits = field(default_factory=Limits)
    prices: Prices = field(default_factory=Prices)

    def dump(self) -> bytes:
        """As JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)}, ensure_ascii=False).encode()

    @classmethod
    def load(cls, body: bytes) -> "Terms":
        """From JSON.

        Raises:
            JobError: if it is none of ours.
        """
        try:
            members = json.loads(body)
            if members.pop("version") != _VERSION:
                raise ValueError("another version")  # noqa: TRY301  (one text for every kind of damage)
            question = Question(**members.pop("question"))
            limits, prices = Limits(**members.pop("limits")), Prices(**members.pop("prices"))
            return cls(question=question, limits=limits, prices=prices, **members)
        except (ValueError, KeyError, TypeError) as error:
            raise JobError(f"the plan's terms cannot be read: {error!r}; plan again") from None


@dataclass(frozen=True, slots=True)
class ShardItem:
    """One item of shards.json: where its documents lie, and their digest."""

    shard: int
    documents: int
    folder: str
    input: str
    sha256: str
    terms: str

    def members(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, members: Any) -> "ShardItem":
        """From JSON.

        Raises:
            JobError: if it is no item of documents-plan.
        """
        names = cls.__dataclass_fields__
        if not isinstance(members, Mapping) or not all(name in members for name in names):
            raise JobError("the shard is none of documents-plan: is shards_from the planning step?")
        return cls(**{name: members[name] for name in names})

    def fetch_terms(self) -> Terms:
        """The plan's terms; their name carries their digest.

        Raises:
            JobError: if they are not there or not whole.
        """
        body = places.read(self.folder + self.terms)
        if named("terms", body, ".json") != self.terms:
            raise JobError(f"{self.folder}{self.terms} is not what the plan wrote")
        return Terms.load(body)


def named(stem: str, body: bytes, ending: str) -> str:
    """A file name that says the content."""
    return f"{stem}-{hashlib.sha256(body).hexdigest()[:32]}{ending}"
