"""Is this a picture, and is it all of it? Told from bytes; a Content-Type is only what somebody says."""

from typing import Final

# How much of either end is looked at.
HEAD: Final = 2048
TAIL: Final = 64
LONG_TAIL: Final = 65_536

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"IEND\xaeB`\x82"
_JPEG_END: Final = b"\xff\xd9"
_BRANDS: Final = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"mif1": "heif",
    b"msf1": "heif",
}


def identify(head: bytes) -> str:
    """The format of a file that begins with `head` (png, jpeg, gif, webp, avif, svg, ...), "" if none."""
    if head[:8] == _PNG and head[12:16] == b"IHDR":
        return "png"
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "")
    if head[:2] == b"BM" and len(head) > _BMP_HEADER and head[6:10] == b"\0\0\0\0":
        return "bmp"
    return "svg" if _is_svg(head) else ""


_BMP_HEADER: Final = 14
_MARKS: Final = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\0\0\1\0", "ico"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
)


def _is_svg(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head.decode("utf-16", errors="ignore")
    else:
        text = head.decode("utf-8-sig", errors="ignore")
    text = text.lstrip()
    while True:
        if text.startswith("<?"):
            text = text.partition("?>")[2].lstrip()
        elif text.startswith("<!--"):
            text = text.partition("-->")[2].lstrip()
        elif text[:9].lower() == "<!doctype":
            if not text[9:].lstrip().lower().startswith("svg"):
                return False
            text = _after_doctype(text).lstrip()
        else:
            break
    name = text[1:64].partition(">")[0].split(None, 1)[0:1] if text.startswith("<") else []
    return bool(name) and name[0].rpartition(":")[2].rstrip("/") == "svg"


def _after_doctype(text: str) -> str:
    bracket, end = text.find("["), text.find(">")
    if 0 <= bracket < end:
        return text.partition("]")[2].partition(">")[2]
    return text[end + 1 :] if end >= 0 else ""


def size_says(kind: str, head: bytes, total: int) -> bool | None:
    """Whether the length alone proves the file whole (True) or cut (False); None: it does not."""
    if kind == "webp":
        return int.from_bytes(head[4:8], "little") + 8 <= total + 1  # the last padding byte is often left out
    if kind == "bmp":
        return int.from_bytes(head[2:6], "little") <= total
    if kind == "ico":
        count = int.from_bytes(head[4:6], "little")
        entries = [head[start : start + 16] for start in range(6, 6 + 16 * count, 16)]
        whole = [entry for entry in entries if len(entry) == _ICO_ENTRY]
        return all(
            int.from_bytes(entry[8:12], "little") + int.from_bytes(entry[12:16], "little") <= total
            for entry in whole
        )
    if kind in {"png", "jpeg", "gif", "svg"}:
        return None
    return True  # avif, heic, tiff, jxl: nothing at a fixed place says how long they are


_ICO_ENTRY: Final = 16


def tail_says(kind: str, tail: bytes) -> bool | None:
    """Whether the last bytes prove the file whole; None: not these few, look at more."""
    if kind == "png":
        return True if _PNG_END in tail else None
    if kind == "jpeg":
        return True if _JPEG_END in tail else None
    if kind == "gif":
        return True if tail.rstrip(b"\0\r\n").endswith(b";") else None
    if kind == "svg":
        return True if _closes_svg(tail) else None
    return None


def _closes_svg(tail: bytes) -> bool:
    text = tail.replace(b"\0", b"").rstrip()
    # </svg>, </s:svg>, or a document that is one empty element; a comment may follow.
    end = text.rfind(b"svg>")
    return (end > 0 and text.rfind(b"</", 0, end) >= 0) or text.endswith(b"/>")


def whole_says(kind: str, data: bytes) -> bool:
    """Whether `data`, all there is, is a whole picture."""
    by_size = size_says(kind, data[:HEAD], len(data))
    if by_size is not None:
        return by_size
    if kind == "jpeg":
        return _jpeg_ends(data)
    return bool(tail_says(kind, data[-LONG_TAIL:]))


def _jpeg_ends(data: bytes) -> bool:
    """Walk the segments to the picture's own end marker: a preview inside has one too."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != _MARKER:
            return False
        code = data[at + 1]
        if code == _MARKER:
            at += 1  # a fill byte
            continue
        if code == _START_OF_SCAN:
            return data.find(_JPEG_END, at) >= 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


_MARKER: Final = 0xFF
_START_OF_SCAN: Final = 0xDA
