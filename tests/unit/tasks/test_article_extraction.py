import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.jobs.articles.extraction import Reference, find_pictures, parse_css, parse_srcset

URL = "https://www.example.com/articles/1"

PAGE = """<!DOCTYPE html><html><head>
<meta property="og:image" content="og.jpg"><meta name="Twitter:Image" content="tw.jpg">
<meta name="description" content="no-picture.jpg">
<link rel="stylesheet" href="style.css"><link rel="preload" as="image" href="pre.png" imagesrcset="p2.png 2x">
<style>/* url(comment.png) */ @import url("other.css"); @font-face { src: url(f.woff2) }
  .a { background: url( 'css one.png' ) } .b { background-image: URL(css2.png) }</style></head>
<body background="old.gif">
<img src="plain.png" alt="&lt;b&gt;"><IMG SRC=upper.png>
<img src="data:image/gif;base64,R0" data-src="lazy.png" data-srcset="lazy2.png 2x">
<img srcset="s1.png 480w, s2.png 800w,s3.png" src="fallback.png?a=1&amp;b=2">
<picture><source srcset="p.avif"><source srcset="p.webp 1x, p2x.webp 2x"><img src="p.jpg"></picture>
<noscript><img src="noscript.png"></noscript>
<div style="background:url(&quot;inline.png&quot;)" data-bg="bg.png"></div>
<video poster="poster.jpg"></video><input type="image" src="button.png">
<svg><image href="in-svg.png"/><image xlink:href="in-svg-old.png"/></svg>
<script>var x = '<img src="script.png">';</script><!-- <img src="commented.png"> -->
<img alt="no source"><img src=""><img src="plain.png">
</body></html>"""


def test_every_way_to_show_a_picture_is_found() -> None:
    base, found = find_pictures(PAGE, URL)

    assert base == URL
    assert [(reference.kind, reference.written) for reference in found] == [
        ("og:image", "og.jpg"),
        ("og:image", "tw.jpg"),
        ("link", "pre.png"),
        ("srcset", "p2.png"),
        ("css", "css one.png"),
        ("css", "css2.png"),
        ("background", "old.gif"),
        ("img", "plain.png"),
        ("img", "upper.png"),
        ("img", "data:image/gif;base64,R0"),
        ("lazy", "lazy.png"),
        ("lazy", "lazy2.png"),
        ("img", "fallback.png?a=1&b=2"),
        ("srcset", "s1.png"),
        ("srcset", "s2.png"),
        ("srcset", "s3.png"),
        ("picture", "p.avif"),
        ("picture", "p.webp"),
        ("picture", "p2x.webp"),
        ("img", "p.jpg"),
        ("img", "noscript.png"),
        ("lazy", "bg.png"),
        ("css", "inline.png"),
        ("poster", "poster.jpg"),
        ("input", "button.png"),
        ("svg", "in-svg.png"),
        ("svg", "in-svg-old.png"),
    ]


def test_a_base_element_moves_everything() -> None:
    page = '<base href="//cdn.example.com/x/"><img src="a.png">'

    assert find_pictures(page, URL) == ("https://cdn.example.com/x/", [Reference("a.png", "img")])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.png", ["a.png"]),
        ("a.png, b.png 2x", ["a.png", "b.png"]),
        ("a.png,b.png 2x", ["a.png,b.png"]),  # as the standard says: a comma may be part of an address
        ("https://x/w_1,h_2/a.png 1x, b.png 2x", ["https://x/w_1,h_2/a.png", "b.png"]),
        ("a.png 1x,b.png 2x", ["a.png", "b.png"]),
        (" ,, a.png ,, b.png", ["a.png", "b.png"]),
        ("a.png calc(1px, 2px), b.png", ["a.png", "b.png"]),
        ("", []),
    ],
)
def test_srcset_is_read_as_the_standard_says(text: str, found: list[str]) -> None:
    assert list(parse_srcset(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("url(a.png)", ["a.png"]),
        ("url('a(1).png')", ["a(1).png"]),
        (r"url(a\(1\).png)", ["a(1).png"]),
        (r'url("\65\300c.png")', ["e「.png"]),
        ("url()", []),
        ("src: url(a.woff2?v=1)", []),
        ("url(", []),
    ],
)
def test_css_addresses_are_read(text: str, found: list[str]) -> None:
    assert list(parse_css(text)) == found


@given(st.text(alphabet="<>img src=\"'/data-srcset,url()\\{}@;:*x \n", max_size=120))
def test_no_page_breaks_it(page: str) -> None:
    find_pictures(page, URL)
