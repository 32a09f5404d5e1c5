from __future__ import annotations


class ScheduleError(ValueError):
    """A schedule expression or time zone that AWS would refuse; the text says what is wrong with it."""
