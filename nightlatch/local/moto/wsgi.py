from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from nightlatch.local.http.message import HttpReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nightlatch.local.http.message import HttpRequest

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})


def environ(request: HttpRequest) -> dict[str, Any]:
    """The WSGI environment that moto's own server would make of a request."""
    result: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "RAW_URI": request.target,
        "REQUEST_URI": request.target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    # S3 tells x-amz-meta-a_b from x-amz-meta-a-b; WSGI's own names do not, so moto reads the spelling here.
    spelling: dict[str, str] = {}
    for name, value in request.headers:
        if name in _HOP_BY_HOP:
            continue
        key = name.upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        if "_" in name and name.startswith("x-amz-meta-"):
            spelling[key] = name
        result[key] = f"{result[key]},{value}" if key in result else value
    result["CONTENT_LENGTH"] = str(len(request.body))
    result["moto.preserved_header_names"] = spelling
    return result


def respond(application: Callable[..., Iterable[bytes]], request_environ: dict[str, Any]) -> HttpReply:
    """Call a WSGI application and collect its reply."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        started.append((status, headers))

    chunks = application(request_environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    kept = tuple((name.lower(), value) for name, value in headers if name.lower() not in _HOP_BY_HOP)
    return HttpReply(int(status.split(" ", 1)[0]), kept, body)
