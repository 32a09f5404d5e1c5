"""Many hosts at once, in virtual time: how much is asked of whom, and what a bad host costs the others."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from tasks.jobs.articles.host import Politeness
from tasks.jobs.articles.probe import Answer, Ask, Patience
from tests.support.simulated_hosts import GOOD, REFUSED, TIMEOUT, Behaviour, Seen, SimulatedHosts

HANGING = Behaviour(lambda _seen, _ask: (20.0, TIMEOUT))
FIFTY = {f"h{number:02}.example": 200 for number in range(50)}


def test_every_picture_of_every_host_is_asked_for_once() -> None:
    world = SimulatedHosts(FIFTY)

    found = world.check()

    assert found == {host: Counter(ok=200) for host in FIFTY}
    assert {host: len(seen.at) for host, seen in world.seen.items()} == FIFTY


def test_one_hanging_host_among_fifty_does_not_slow_the_rest() -> None:
    alone, beside = SimulatedHosts(FIFTY), SimulatedHosts(FIFTY, {"h25.example": HANGING})
    alone.check()
    found = beside.check()

    others = [host for host in FIFTY if host != "h25.example"]
    assert {host: found[host] for host in others} == {host: Counter(ok=200) for host in others}
    slower = max(beside.finished[host] for host in others) / max(alone.finished[host] for host in others)
    assert slower < 1.15, "8 of 100 requests wait at the host that hangs"
    assert len(beside.seen["h25.example"].at) <= 8 + 2
    assert found["h25.example"]["host_down"] >= 190
    assert found["h25.example"].total() == 200


def test_ten_hanging_hosts_leave_room_for_the_rest() -> None:
    hanging = {f"h{number:02}.example": HANGING for number in range(10)}
    world = SimulatedHosts(FIFTY, hanging)

    found = world.check()

    assert all(found[host] == Counter(ok=200) for host in FIFTY if host not in hanging)
    assert sum(len(world.seen[host].at) for host in hanging) <= 10 * 10
    rest = max(world.finished[host] for host in FIFTY if host not in hanging)
    assert rest < 20, "the rest is done before the first timeout ends"


def test_no_host_gets_more_than_its_connections_and_all_no_more_than_theirs() -> None:
    world = SimulatedHosts({"a.example": 100, "cdn.example": 400, "b.example": 100})

    world.check(most=30, politeness=Politeness(connections=4, special={"cdn.example": 40}))

    assert world.seen["a.example"].most_at_once == 4
    assert world.seen["cdn.example"].most_at_once == 22
    assert world.most_at_once == 30


def test_a_rate_is_kept() -> None:
    world = SimulatedHosts({"a.example": 40})

    world.check(politeness=Politeness(rate=10))

    assert min(later - sooner for sooner, later in pairwise(world.seen["a.example"].at)) >= 0.0999


def busy_once(retry_after: str) -> Behaviour:
    def answer(seen: Seen, _ask: Ask) -> tuple[float, Answer]:
        first = len(seen.at) == 1
        return (0.05, Answer(429, {"retry-after": retry_after})) if first else (0.05, GOOD)

    return Behaviour(answer)


@pytest.mark.parametrize("after", ["20", "date"])
def test_the_host_is_left_alone_for_as_long_as_it_asks(after: str) -> None:
    if after == "date":
        after = format_datetime(datetime.now(UTC) + timedelta(seconds=22), usegmt=True)
    world = SimulatedHosts({"a.example": 50, "b.example": 50}, {"a.example": busy_once(after)})

    found = world.check(politeness=Politeness(connections=1))

    assert found == {host: Counter(ok=50) for host in ("a.example", "b.example")}
    first, second = world.seen["a.example"].at[:2]
    assert second - first >= 20
    assert world.finished["b.example"] < 5, "the other host was not made to wait"


def test_a_host_that_is_too_busy_is_asked_less_often_and_then_more_again() -> None:
    def answer(seen: Seen, _ask: Ask) -> tuple[float, Answer]:
        now = seen.at[-1]
        recent = sum(at > now - 1 for at in seen.at)
        return (0.05, Answer(503)) if recent > 20 else (0.05, GOOD)

    world = SimulatedHosts({"a.example": 400}, {"a.example": Behaviour(answer)})

    found = world.check(patience=Patience(tries=8))

    assert found["a.example"]["ok"] >= 390
    assert len(world.seen["a.example"].at) < 800, "it is not hammered"


def test_a_dead_host_is_tried_again_and_its_pictures_are_saved_if_it_comes_back() -> None:
    def answer(seen: Seen, _ask: Ask) -> tuple[float, Answer]:
        return (0.01, REFUSED) if seen.at[-1] < 3 else (0.05, GOOD)

    world = SimulatedHosts({"a.example": 300}, {"a.example": Behaviour(answer)})

    found = world.check()

    assert found["a.example"]["ok"] >= 280
    assert found["a.example"]["host_down"] == 0
    assert not [at for at in world.seen["a.example"].at if 0.5 < at < 5], "it was left to rest"


def test_a_tar_pit_that_answers_now_and_then_is_given_up_after_its_budget() -> None:
    def answer(seen: Seen, _ask: Ask) -> tuple[float, Answer]:
        return (0.05, GOOD) if len(seen.at) % 5 == 0 else (20.0, TIMEOUT)

    world = SimulatedHosts({"a.example": 5000}, {"a.example": Behaviour(answer)})

    found = world.check(politeness=Politeness(wasted_seconds=600))

    assert found["a.example"]["host_down"] > 4900
    assert found["a.example"]["timeout"] <= 600 / 20 + 8
    assert found["a.example"].total() == 5000


def test_stopping_takes_no_more_work() -> None:
    world = SimulatedHosts(FIFTY)

    found = world.check(stop=lambda: world.now > 1)

    done = sum(verdicts.total() for verdicts in found.values())
    asked = sum(len(seen.at) for seen in world.seen.values())
    assert 0 < done < 10_000
    assert asked - done <= 100
    assert world.now < 1.3


def test_processes_keep_a_hosts_limits_together() -> None:
    owner = Politeness(connections=8, rate=10, processes=3, own=frozenset({"a.example"}))
    others = Politeness(connections=8, rate=10, processes=3, own=frozenset({"b.example"}))

    for host in ("a.example", "nobodys.example"):
        together = [each.connections_to(host) for each in (owner, others, others)]
        assert sum(together) <= 8, host
        assert sum(each.rate_to(host) for each in (owner, others, others)) <= 10.001, host
    assert owner.connections_to("a.example") == 6
    assert Politeness(connections=8).connections_to("a.example") == 8
    assert Politeness(rate=10).rate_to("a.example") == 10
