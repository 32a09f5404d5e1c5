"""Locks that are broken on purpose, to show that the checks can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lock.events import Claim, HandOff, Release, ReleaseByFence, TakeOver
from lock.expressions import Expression
from lock.requests import expression_of

if TYPE_CHECKING:
    from lock.events import Event


@dataclass(frozen=True)
class Mutant:
    """One rule of the lock removed.

    Attributes:
        name: on the command line.
        story: what goes wrong.
        operations: whose expressions are replaced.
        condition: instead of theirs, if that is the rule.
        standing_fence: whether the fence stays where it is.
    """

    name: str
    story: str
    operations: tuple[type, ...]
    condition: str | None = None
    standing_fence: bool = False

    def expression(self, event: Event) -> Expression | None:
        """What is sent instead; None for an operation that is left as it is."""
        if not isinstance(event, self.operations):
            return None
        right = expression_of(event)
        update = right.update
        if self.standing_fence:
            update = update.replace("#fence = #fence + :one", "#fence = #fence")
        return Expression(update=update, condition=self.condition or right.condition)


MUTANTS = {
    mutant.name: mutant
    for mutant in (
        Mutant(
            "unconditional-release",
            "a holder that was replaced while it slept frees the lock of its successor",
            (Release,),
            "attribute_exists(#fence)",
        ),
        Mutant("blind-take-over", "two takers both win", (TakeOver,), "attribute_exists(#fence)"),
        Mutant(
            "shared-grant", "both containers of a doubled start work", (Claim,), "attribute_exists(#holder)"
        ),
        Mutant(
            "standing-fence",
            "a successor has no greater token, so a resource cannot tell",
            (Release, ReleaseByFence, TakeOver, HandOff),
            standing_fence=True,
        ),
    )
}
