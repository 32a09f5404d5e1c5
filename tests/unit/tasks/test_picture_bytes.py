import struct
import zlib
from pathlib import Path

import pytest

from tasks.jobs.articles.corpus import locate
from tasks.jobs.articles.picture_bytes import HEAD, TAIL, identify, size_says, tail_says, whole_says

PICTURES = sorted(
    path
    for path in locate().rglob("*")
    if path.suffix in {".png", ".jpg", ".webp", ".svg", ".ico", ".gif"} and path.is_file()
)


def test_there_are_real_pictures_to_test_with() -> None:
    assert {path.suffix for path in PICTURES} >= {".png", ".jpg", ".webp", ".svg"}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_real_pictures_are_known_and_whole(path: Path) -> None:
    data = path.read_bytes()
    kind = identify(data[:HEAD])

    assert kind == {".jpg": "jpeg"}.get(path.suffix, path.suffix[1:])
    assert whole_says(kind, data)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_real_picture_that_breaks_off_is_not_whole(path: Path, share: float) -> None:
    data = path.read_bytes()
    cut = data[: min(len(data) - 2, int(len(data) * share))]
    kind = identify(cut[:HEAD])

    assert not whole_says(kind, cut)
    says = size_says(kind, cut[:HEAD], len(cut))
    assert says is not True
    assert says is False or not tail_says(kind, cut[-TAIL:])


def _gif() -> bytes:
    return b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("gif", _gif()),
        ("gif", _gif() + b"\0\0"),
        ("png", _png()),
        ("png", _png() + b"\n"),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("svg", b"\xef\xbb\xbf<?xml version='1.0'?><!-- x --><!DOCTYPE svg PUBLIC 'a' 'b'>\n<svg></svg>\n"),
        ("svg", b"<!DOCTYPE svg [<!ENTITY a 'b>'>]><s:svg></s:svg>"),
        ("bmp", b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + b"\0" * 44),
        ("webp", b"RIFF" + struct.pack("<I", 12) + b"WEBPVP8L\0\0\0\0"),
        ("avif", b"\0\0\0\x1cftypavif\0\0\0\0" + b"\0" * 20),
        ("ico", b"\0\0\1\0\1\0" + b"\1\1\0\0\1\0\1\0" + struct.pack("<II", 4, 22) + b"data"),
    ],
)
def test_other_formats_are_known(kind: str, data: bytes) -> None:
    assert identify(data) == kind
    assert whole_says(kind, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<!DOCTYPE html><html><svg></svg></html>",
        b"<html><body>svg</body></html>",
        b"not a picture",
        b"BMW is a car maker",
        b"\x89PNG\r\n\x1a\n but then not",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"\0\0\0\x1cftypisom\0\0\0\0",
        b"<svgx></svgx>",
        b"%PDF-1.7",
    ],
)
def test_other_files_are_no_pictures(data: bytes) -> None:
    assert identify(data) == ""


def test_the_end_of_a_preview_inside_is_not_the_end_of_the_photograph() -> None:
    preview = b"\xff\xd8\xff\xe0\0\4ab\xff\xda\0\2xx\xff\xd9"
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(preview)) + preview
    photograph = b"\xff\xd8" + exif + b"\xff\xda\0\2" + b"scan data" * 3

    assert identify(photograph) == "jpeg"
    assert not whole_says("jpeg", photograph)
    assert whole_says("jpeg", photograph + b"\xff\xd9 and a maker's trailer")
