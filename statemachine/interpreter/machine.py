"""A parsed definition."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a definition.

    Attributes:
        where: the path to the field, with the state's name: `States.Acquire.Next`.
        message: what is wrong and what is possible instead.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class DefinitionError(Exception):
    """A definition was refused.

    Attributes:
        problems: everything that is wrong with it.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
