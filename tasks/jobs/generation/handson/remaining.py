"""How long the rest will take, from how long the finished tasks took."""

from collections.abc import Sequence

from tasks.jobs.generation.handson.running import Lane, State

_OPEN = frozenset({State.PENDING, State.RUNNING})


def seconds_left(lanes: Sequence[Lane], parallel: int, now: float) -> list[float | None]:
    """For each project the seconds until its last task ends, or None while nothing was measured yet.

    A unit of weight takes what it took so far, in the project itself, else in all. The rest cannot be done
    faster than its longest chain, nor than the project's share of the places allows.
    """
    everywhere = _pace(lanes)
    active = [lane for lane in lanes if _open(lane)]
    shares = sum(lane.graph.project.priority for lane in active) or 1
    result: list[float | None] = []
    for lane in lanes:
        pace = _pace([lane]) or everywhere
        if not _open(lane):
            result.append(0.0)
        elif pace is None:
            result.append(None)
        else:
            places = max(1.0, parallel * lane.graph.project.priority / shares)
            result.append(_left(lane, pace, places, now))
    return result


def _pace(lanes: Sequence[Lane]) -> float | None:
    """Seconds for one unit of weight, over the tasks that ended well."""
    seconds = weight = 0.0
    for lane in lanes:
        for name, standing in lane.standings.items():
            if standing.state is State.SUCCEEDED and standing.seconds > 0:
                seconds += standing.seconds
                weight += lane.graph.tasks[name].weight
    return seconds / weight if weight else None


def _left(lane: Lane, pace: float, places: float, now: float) -> float:
    rest = {name: _rest(lane, name, pace, now) for name in _open(lane)}
    chain: dict[str, float] = {}
    for name in reversed(lane.graph.order):
        if name in rest:
            behind = max((chain.get(other, 0.0) for other in lane.graph.followers[name]), default=0.0)
            chain[name] = rest[name] + behind
    return max(*chain.values(), sum(rest.values()) / places)


def _rest(lane: Lane, name: str, pace: float, now: float) -> float:
    standing = lane.standings[name]
    whole = lane.graph.tasks[name].weight * pace
    gone = now - standing.began if standing.state is State.RUNNING else 0.0
    return max(whole - gone, 0.0)


def _open(lane: Lane) -> list[str]:
    return [name for name, standing in lane.standings.items() if standing.state in _OPEN]


def done_and_all(lanes: Sequence[Lane]) -> tuple[int, int]:
    """Tasks that need nothing more (well, failed or skipped), and all tasks."""
    everything = sum(len(lane.standings) for lane in lanes)
    return everything - sum(len(_open(lane)) for lane in lanes), everything


def line_of(lanes: Sequence[Lane], left: Sequence[float | None]) -> str:
    """One line that says how each project is: ``house 7/20, 3 running, 12 min left; shop ready``."""
    return "; ".join(_lane_line(lane, seconds) for lane, seconds in zip(lanes, left, strict=True))


def _lane_line(lane: Lane, seconds: float | None) -> str:
    parts = [f"{lane.graph.project.id} {lane.count(State.SUCCEEDED)}/{len(lane.standings)}"]
    counts = [(lane.count(state), state) for state in (State.RUNNING, State.FAILED, State.SKIPPED)]
    parts.extend(f"{count} {state}" for count, state in counts if count)
    if _open(lane):
        parts.append("time left not known yet" if seconds is None else f"{duration(seconds)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time as people say it: ``0.4 s``, ``40 s``, ``12 min``, ``2 h 5 min``."""
    if seconds < 60:  # noqa: PLR2004  (a minute)
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  (the finer, the shorter)
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004  (an hour)
