from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tasks.jobs.articles.probe import Answer, Ask, Later, Patience, Probe, Trouble, retry_after
from tasks.jobs.articles.verdicts import Finding, Verdict

URL = "https://www.example.com/a.jpg"
JPEG = b"\xff\xd8\xff\xda\0\2" + b"s" * 5000 + b"\xff\xd9"


def part(data: bytes, first: int, last: int, status: int = 206) -> Answer:
    body = data[first : last + 1]
    headers = {"content-range": f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"}
    return Answer(status, headers, body, body, len(body))


def whole(data: bytes, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, data[:65_536], data[-65_536:], len(data))


def verdict(outcome: object) -> str:
    assert isinstance(outcome, Finding), outcome
    return outcome.verdict.value


def test_a_long_picture_takes_a_look_at_both_ends() -> None:
    probe = Probe(URL)
    assert probe.start() == Ask(URL, 0, 2047)

    second = probe.take(part(JPEG, 0, 2047))

    assert second == Ask(URL, len(JPEG) - 64, len(JPEG) - 1)
    found = probe.take(part(JPEG, len(JPEG) - 64, len(JPEG) - 1))
    assert found == Finding(Verdict.OK, 206, "jpeg", len(JPEG))


def test_a_short_picture_takes_one_request() -> None:
    assert verdict(Probe(URL).take(part(b"GIF89a;", 0, 2047))) == "ok"


def test_a_tail_without_an_end_is_looked_at_further_before_it_is_called_truncated() -> None:
    trailed = JPEG + b"\0" * 1000
    probe = Probe(URL)
    probe.take(part(trailed, 0, 2047))
    longer = probe.take(part(trailed, len(trailed) - 64, len(trailed) - 1))
    assert longer == Ask(URL, 0, len(trailed) - 1)
    assert verdict(probe.take(part(trailed, 0, len(trailed) - 1))) == "ok"

    cut = Probe(URL)
    cut.take(part(JPEG[:-2], 0, 2047))
    cut.take(part(JPEG[:-2], len(JPEG) - 66, len(JPEG) - 3))
    assert verdict(cut.take(part(JPEG[:-2], 0, len(JPEG) - 3))) == "truncated"


def test_a_server_that_ignores_ranges_is_judged_by_everything_it_sent() -> None:
    assert verdict(Probe(URL).take(whole(JPEG))) == "ok"
    assert verdict(Probe(URL).take(whole(JPEG[:3000]))) == "truncated"
    assert verdict(Probe(URL).take(whole(b""))) == "empty"


def test_a_body_without_end_is_endless_but_a_very_large_file_is_not() -> None:
    flood = Answer(200, {}, JPEG, JPEG, 1 << 27, cut=True)
    large = Answer(200, {"content-length": str(1 << 28)}, JPEG, JPEG, 1 << 27, cut=True)

    assert verdict(Probe(URL).take(flood)) == "endless"
    found = Probe(URL).take(large)
    assert isinstance(found, Finding)
    assert (found.verdict, found.size) == (Verdict.OK, 1 << 28)


@pytest.mark.parametrize("number", ["9" * 5000, "٣" * 5])
def test_numbers_that_are_none_harm_nobody(number: str) -> None:
    large = Answer(200, {"content-length": number}, JPEG, JPEG, 1 << 27, cut=True)
    part = Answer(206, {"content-range": f"bytes 0-3/{number}"}, JPEG, JPEG, len(JPEG))

    found = Probe(URL).take(large)
    assert isinstance(found, Finding)
    assert (found.verdict, found.size) == (Verdict.OK, -1)
    assert Probe(URL).take(part) == Ask(URL)  # such a range proves nothing: all of it, please


@pytest.mark.parametrize("status", [400, 405, 416, 501])
def test_a_server_that_dislikes_ranges_is_asked_without(status: int) -> None:
    probe = Probe(URL)

    assert probe.take(Answer(status)) == Ask(URL)
    assert verdict(probe.take(whole(JPEG))) == "ok"


def test_an_empty_file_answers_416() -> None:
    assert verdict(Probe(URL).take(Answer(416, {"content-range": "bytes */0"}))) == "empty"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, "missing"),
        (410, "gone"),
        (401, "forbidden"),
        (403, "forbidden"),
        (451, "forbidden"),
        (418, "missing"),
    ],
)
def test_refusals_have_their_own_words(status: int, expected: str) -> None:
    assert verdict(Probe(URL).take(Answer(status))) == expected
    hanging = Answer(status, trouble=Trouble.TIMEOUT)
    assert verdict(Probe(URL).take(hanging)) == expected


def test_a_busy_server_is_asked_again_and_then_believed() -> None:
    probe = Probe(URL, Patience(tries=3, first_pause=0.5))

    assert probe.take(Answer(503)) == Later(0.5, Ask(URL, 0, 2047))
    assert probe.take(Answer(503)) == Later(1.0, Ask(URL, 0, 2047))
    assert verdict(probe.take(Answer(503))) == "server_error"


def test_retry_after_is_heeded_up_to_our_patience() -> None:
    patience = Patience(tries=3, longest_pause=30)

    assert Probe(URL, patience).take(Answer(429, {"retry-after": "7"})) == Later(
        7.0, Ask(URL, 0, 2047), for_host=True
    )
    assert verdict(Probe(URL, patience).take(Answer(429, {"retry-after": "31"}))) == "rate_limited"


def test_retry_after_may_be_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=100)

    assert 90 < (retry_after(format_datetime(soon, usegmt=True)) or 0) <= 100
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("soon") is None
    assert retry_after("") is None


def test_a_retry_after_beyond_all_bounds_harms_nobody() -> None:
    assert retry_after("9" * 5000) == 10**9
    assert retry_after(f"1 Jan {'9' * 30} 00:00:00 GMT") is None


def test_redirects_are_followed_by_hand_and_remembered() -> None:
    probe = Probe(URL)

    assert probe.take(Answer(301, {"location": "../b.jpg"})) == Ask("https://www.example.com/b.jpg", 0, 2047)
    found = probe.take(whole(JPEG))
    assert isinstance(found, Finding)
    assert (found.verdict, found.final_url) == (Verdict.REDIRECTED, "https://www.example.com/b.jpg")


def test_circles_and_endless_chains_are_one_finding() -> None:
    circle = Probe(URL)
    circle.take(Answer(302, {"location": "/b"}))
    assert verdict(circle.take(Answer(302, {"location": "/a.jpg"}))) == "redirect_loop"

    chain, outcome = Probe(URL), None
    for number in range(20):
        outcome = chain.take(Answer(302, {"location": f"/{number}"}))
        if isinstance(outcome, Finding):
            break
    assert verdict(outcome) == "redirect_loop"


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "data:image/png,x", "http://[::"])
def test_a_redirect_to_nowhere_is_a_bad_address(location: str) -> None:
    assert verdict(Probe(URL).take(Answer(302, {"location": location}))) == "bad_url"


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (Trouble.TIMEOUT, "timeout"),
        (Trouble.TLS, "tls"),
        (Trouble.REFUSED, "refused"),
        (Trouble.BLOCKED, "blocked"),
    ],
)
def test_trouble_that_does_not_pass_is_believed_at_once(trouble: Trouble, expected: str) -> None:
    assert verdict(Probe(URL).take(Answer(trouble=trouble))) == expected


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [(Trouble.RESET, "reset"), (Trouble.PARTIAL, "truncated"), (Trouble.DNS, "dns")],
)
def test_trouble_that_may_pass_is_tried_again(trouble: Trouble, expected: str) -> None:
    probe = Probe(URL, Patience(tries=2))

    assert isinstance(probe.take(Answer(200, trouble=trouble)), Later)
    assert verdict(probe.take(Answer(200, trouble=trouble))) == expected


def test_a_range_that_does_not_say_what_it_is_part_of_proves_nothing() -> None:
    probe = Probe(URL)

    assert probe.take(Answer(206, {}, JPEG[:100], JPEG[:100], 100)) == Ask(URL)
    assert verdict(probe.take(whole(JPEG))) == "ok"


def test_a_page_in_the_place_of_a_picture_is_named() -> None:
    found = Probe(URL).take(whole(b"<!DOCTYPE html><p>Sorry", content_type="image/png"))

    assert isinstance(found, Finding)
    assert found.verdict is Verdict.NOT_IMAGE
    assert found.detail == "an HTML page, sent as image/png"
