"""From what an editor wrote into an attribute to the URL a browser would ask for."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

LONGEST: Final = 8192
_WEB: Final = {"http", "https"}
# Not addresses of files on a server: nothing to check.
_OTHER: Final = {"data", "blob", "about", "javascript", "cid", "mailto", "tel"}
_DEFAULT_PORT: Final = {"http": 80, "https": 443}
_CONTROL: Final = re.compile(r"[\x00-\x20]+\Z|\A[\x00-\x20]+|[\t\n\r]")
# Host names without port, capitals, empty or odd labels; paths and queries that need no escape.
_HOST_NAME: Final = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"
_ORIGIN: Final = re.compile(rf"https?://{_HOST_NAME}(?=/)")
_CLEAN: Final = re.compile(
    rf"https?://({_HOST_NAME})/[A-Za-z0-9/:@!$&'()*+,;=~._-]*(?:\?[A-Za-z0-9/:@!$&'()*+,;=~._-]+)?"
)
_PATH_SAFE: Final = "/%:@!$&'()*+,;=~-._"
_QUERY_SAFE: Final = _PATH_SAFE + "?[]{}|^`"


@dataclass(frozen=True, slots=True)
class Address:
    """A picture's address: `url` as a browser asks for it, and its `host` (with the port if it is unusual).

    With `problem` set, `url` is what was written and cannot be asked for.
    """

    url: str
    host: str = ""
    problem: str = ""


def resolve(written: str, base: str) -> Address | None:
    """What `written` in a page at `base` means; None if it is no address of a file on a server."""
    clean = _clean(written, base)
    if clean is not None:
        return clean
    text = _CONTROL.sub("", written)
    scheme, colon, _ = text.partition(":")
    if not text or text.startswith("#") or (colon and scheme.lower() in _OTHER):
        return None
    try:
        return _web_address(urlsplit(urljoin(base, _forward_slashes(text))))
    except ValueError as error:
        return Address(written[:LONGEST], problem=str(error))


def _clean(written: str, base: str) -> Address | None:
    """The usual case in a tenth of the time: an address that is already as it should be."""
    if "/." in written:
        return None
    if written.startswith("/") and not written.startswith("//"):
        origin = _ORIGIN.match(base)
        if origin is None:
            return None
        written = origin[0] + written
    matched = _CLEAN.fullmatch(written)
    return Address(written, matched[1]) if matched and len(written) <= LONGEST else None


def _web_address(parts: SplitResult) -> Address:
    if parts.scheme not in _WEB:
        raise ValueError(f"scheme {parts.scheme!r}" if parts.scheme else "no base to resolve it against")
    host = _host(parts.hostname or "")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a password in the address")
    if parts.port is not None and parts.port != _DEFAULT_PORT[parts.scheme]:
        host = f"{host}:{parts.port}"
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    url = urlunsplit((parts.scheme, host, path, quote(parts.query, safe=_QUERY_SAFE), ""))
    if len(url) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    return Address(url, host)


def host_of(url: str) -> str:
    """The host part of a URL that `resolve` made."""
    return urlsplit(url).netloc


def _forward_slashes(text: str) -> str:
    """Browsers take a backslash before the query for a slash."""
    head, mark, rest = text.partition("?")
    return head.replace("\\", "/") + mark + rest


def _host(name: str) -> str:
    if not name:
        raise ValueError("no host")
    if ":" in name:
        return f"[{name}]"  # an IPv6 address; urlsplit took the brackets away
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    name = name.lower()
    if re.search(r"[^a-z0-9._-]", name) or len(name) > 253 or ".." in name:  # noqa: PLR2004  (RFC 1035)
        raise ValueError(f"{name!r} is no host name")
    return name
