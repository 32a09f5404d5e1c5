from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio.run import worker_serve
from hypercorn.utils import wrap_app

from nightlatch.local.state_directory import LocalStartError

if TYPE_CHECKING:
    from nightlatch.local.http.app import App

_BACKLOG = 512
_KEEP_ALIVE_SECONDS = 75


def bind(port: int) -> socket.socket:
    """Listen on a loopback port; 0 takes a free one.

    Raises:
        LocalStartError: The port is taken or not allowed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        why = (
            "another program listens there"
            if error.errno == errno.EADDRINUSE
            else str(error.strerror or error).lower()
        )
        raise LocalStartError(
            f"Port {port} cannot be used: {why}. Choose another with --port, or have one found with --port 0."
        ) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


async def serve_http(
    app: App, listener: socket.socket, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve an application on a listening socket until cancelled."""
    config = Config()
    config.errorlog = None
    config.keep_alive_timeout = _KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = 1_000_000
    config.max_app_queue_size = 64
    config.include_server_header = False
    # Terraform's and boto3's signatures make long headers; S3 metadata may add 2 KiB.
    config.h11_max_incomplete_size = 64 * 1024

    async with trio.open_nursery() as nursery:
        application: Any = app
        await nursery.start(
            lambda *, task_status: worker_serve(
                wrap_app(application, config.wsgi_max_body_size, "asgi"),
                config,
                sockets=Sockets([], [listener], []),
                task_status=task_status,
            )
        )
        task_status.started()
