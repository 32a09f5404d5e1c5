import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.jobs.articles.urls import Address, host_of, resolve

BASE = "https://www.example.com/a/b.html"


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("c.png", "https://www.example.com/a/c.png"),
        ("/c.png", "https://www.example.com/c.png"),
        ("../../../c.png", "https://www.example.com/c.png"),
        ("//cdn.example.com/c.png", "https://cdn.example.com/c.png"),
        (" \n\tc.png\r\n ", "https://www.example.com/a/c.png"),
        ("c\n.png", "https://www.example.com/a/c.png"),
        ("c.png#top", "https://www.example.com/a/c.png"),
        ("c.png?a=1&b=2#x", "https://www.example.com/a/c.png?a=1&b=2"),
        ("写真 1.png", "https://www.example.com/a/%E5%86%99%E7%9C%9F%201.png"),
        ("a%20b%2Fc.png", "https://www.example.com/a/a%20b%2Fc.png"),
        ("HTTP://WWW.Example.COM:80/C.png", "http://www.example.com/C.png"),
        ("https://www.example.com:8443/c.png", "https://www.example.com:8443/c.png"),
        ("https://日本語.jp/c.png", "https://xn--wgv71a119e.jp/c.png"),
        ("http://[2001:DB8::1]:8080/c.png", "http://[2001:db8::1]:8080/c.png"),
        ("\\images\\c.png", "https://www.example.com/images/c.png"),
        ("https://www.example.com", "https://www.example.com/"),
        ("?x=日本", "https://www.example.com/a/b.html?x=%E6%97%A5%E6%9C%AC"),
        ("a'b\"<c>.png", "https://www.example.com/a/a'b%22%3Cc%3E.png"),
    ],
)
def test_an_address_is_what_a_browser_would_ask_for(written: str, url: str) -> None:
    assert resolve(written, BASE) == Address(url, host_of(url))


@pytest.mark.parametrize(
    "written", ["", "  ", "#top", "data:image/png;base64,AA", "blob:x", "javascript:void(0)"]
)
def test_what_is_no_file_on_a_server_is_left_out(written: str) -> None:
    assert resolve(written, BASE) is None


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("file:///etc/passwd", "scheme 'file'"),
        ("ftp://example.com/a.png", "scheme 'ftp'"),
        ("http://", "no host"),
        ("http://user:secret@example.com/a.png", "a password"),
        ("http://example.com:99999/a.png", "Port out of range"),
        ("http://[::1/a.png", "IPv6"),
        ("http://exa mple.com/a.png", "is no host name"),
        ("http://a..b/c.png", "is no host name"),
        ("/" + "x" * 9000, "longer than"),
    ],
)
def test_a_bad_address_says_what_is_wrong(written: str, problem: str) -> None:
    address = resolve(written, BASE)

    assert address is not None
    assert problem in address.problem
    assert address.host == ""


def test_without_a_base_a_relative_address_is_bad() -> None:
    address = resolve("a.png", "")

    assert address is not None
    assert address.problem.startswith("no base")


@given(
    st.from_regex(r"(https?://[a-z.-]{1,4})?/?[a-z./?:@&'-]{0,12}", fullmatch=True),
    st.sampled_from([BASE, ""]),
)
def test_the_short_way_gives_what_the_long_way_gives(written: str, base: str) -> None:
    # A space at the end is dropped by the long way and keeps the short one from being taken.
    short, long = resolve(written, base), resolve(written + " ", base)

    if short is not None and not short.problem:
        assert short == long
    else:
        assert (short and short.problem) == (long and long.problem)


@given(st.text(max_size=80), st.sampled_from([BASE, "", "http://[::1]/"]))
def test_no_text_breaks_it_and_the_result_stays_the_same(written: str, base: str) -> None:
    address = resolve(written, base)

    if address is not None and not address.problem:
        assert address.url.isascii()
        assert resolve(address.url, "") == address
