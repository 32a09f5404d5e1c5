from tasks.jobs.articles.host import Host, Politeness
from tasks.jobs.articles.probe import Trouble

POLITENESS = Politeness(connections=4, failures_to_open=3, cooldown=5, trials=2)


def test_a_host_gets_no_more_than_its_connections() -> None:
    host = Host("a", POLITENESS)
    host.active = 3
    assert host.may_start(0)
    host.active = 4
    assert not host.may_start(0)


def test_a_host_that_asks_for_less_gets_less_and_recovers_slowly() -> None:
    host = Host("a", POLITENESS)
    host.asked_for_less(now=10, seconds=2)
    assert not host.may_start(11.9)
    host.active = 2
    assert not host.may_start(12)
    for _ in range(10):
        host.succeeded(13)
    assert host.may_start(13)
    host.active = 4
    assert not host.may_start(13)


def test_failures_in_a_row_rest_the_host_and_vain_trials_give_it_up() -> None:
    host = Host("a", POLITENESS)
    for second in range(3):
        host.failed(Trouble.TIMEOUT, f"/{second}", asked_at=second, now=second + 1)
    assert not host.may_start(7.9)
    assert host.may_start(8)
    host.active = 1
    assert not host.may_start(8)  # one trial, no more
    host.active = 0
    host.failed(Trouble.REFUSED, "/x", asked_at=8, now=9)
    assert not host.given_up
    assert not host.may_start(10)
    host.failed(Trouble.REFUSED, "/x", asked_at=14, now=15)
    assert host.given_up


def test_one_success_forgives_everything() -> None:
    host = Host("a", POLITENESS)
    for second in range(3):
        host.failed(Trouble.DNS, f"/{second}", asked_at=second, now=second + 1)
    host.succeeded(20)
    host.active = 3
    assert host.may_start(20)
    host.failed(Trouble.DNS, "/x", asked_at=21, now=22)
    host.active = 1
    assert host.may_start(22)


def test_while_requests_fail_no_more_are_made_than_it_takes_to_know() -> None:
    host = Host("a", POLITENESS)
    host.active = 1
    assert host.may_start(0)
    host.failed(Trouble.TIMEOUT, "/1", asked_at=0, now=1)
    assert host.may_start(1)
    host.active = 2
    assert not host.may_start(1), "one failed and two under way are the three that tell"


def test_hanging_files_of_a_living_host_do_not_count_against_it() -> None:
    host = Host("a", POLITENESS)
    host.succeeded(now=5)
    for number in range(10):
        host.failed(Trouble.TIMEOUT, f"/{number}", asked_at=4, now=24)
    assert host.may_start(24)


def test_what_says_nothing_of_the_host_does_not_count() -> None:
    host = Host("a", POLITENESS)
    for second in range(10):
        host.failed(Trouble.PARTIAL, f"/{second}", asked_at=second, now=second + 1)
        host.failed(Trouble.BLOCKED, f"/{second}", asked_at=second, now=second + 1)
    assert host.may_start(20)


def test_tries_of_one_picture_count_once() -> None:
    host = Host("a", POLITENESS)
    for second in range(10):
        host.failed(Trouble.DNS, "/same", asked_at=second, now=second + 1)
    assert host.may_start(10)
