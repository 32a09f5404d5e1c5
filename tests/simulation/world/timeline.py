"""What happened in a simulated night, in order, for people."""

from collections.abc import Callable


class Timeline:
    """Notes with the seconds since the start."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._start = now()
        self.lines: list[tuple[float, str, str]] = []

    def note(self, who: str, what: str) -> None:
        """One thing that happened."""
        self.lines.append((self._now() - self._start, who, what))

    def text(self) -> str:
        """The whole story."""
        return "\n".join(f"{at:10.3f}  {who:<28} {what}" for at, who, what in self.lines)
