"""What a check has found."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a definition.

    Attributes:
        where: the place, as a path of state names and fields:
            `Settle/ReadRow/Arguments/Key`; empty where the message tells it.
        code: which check found it: `json`, `asl`, `lint`, `resource`, `arguments`, `expression`, `variable`,
            `left-held`.
        message: what is wrong and what to do.
    """

    where: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.code}]".removeprefix(": ")
