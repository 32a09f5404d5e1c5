"""nginx on loopback addresses, as many hosts of real pictures: at once, and with the latency of a network."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.engine_endpoint import free_port
from bench.image_peers.programs import AbsentError, Peers, present
from tasks.jobs.articles.corpus import locate

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS: Final = 50
LATENCY_SECONDS: Final = 0.05
_FORMATS: Final = {".png", ".jpg"}
_SECONDS: Final = 10
_CONFIGURATION: Final = """
load_module {echo};
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors crit;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; open_file_cache max=1000;
  types {{ image/png png; image/jpeg jpg; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ {near} root {folder}/pictures; }}
  server {{ {far} root {folder}/pictures;
    location / {{ echo_sleep {latency}; echo_exec @pictures; }} location @pictures {{ }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the pictures are: `near` at once, `far` after the latency. Both have HOSTS addresses."""

    near: int
    far: int
    names: tuple[str, ...]

    def urls(self, count: int, hosts: int, *, far: bool = False) -> Iterator[str]:
        """So many different URLs of real pictures, spread over so many hosts."""
        port = self.far if far else self.near
        for number in range(count):
            host, name = number % hosts + 1, self.names[number // hosts % len(self.names)]
            yield f"http://127.0.0.{host}:{port}/{name}?{number}"


@contextmanager
def origin(peers: Peers) -> Iterator[Origin]:
    """Run it.

    Raises:
        AbsentError: if there is no nginx here, or it does not start.
    """
    program, echo = present(peers.nginx), present(peers.echo)
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-images-") as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        names = []
        for path in sorted(locate().rglob("*")):
            if path.suffix in _FORMATS:
                shutil.copy(path, folder / "pictures" / path.name)
                names.append(path.name)
        folder.chmod(0o755)
        near, far = free_port(), free_port()

        def listens(port: int) -> str:
            return " ".join(f"listen 127.0.0.{host}:{port} backlog=4096;" for host in range(1, HOSTS + 1))

        text = _CONFIGURATION.format(
            echo=echo, folder=folder, near=listens(near), far=listens(far), latency=LATENCY_SECONDS
        )
        (folder / "nginx.conf").write_text(text)
        process = subprocess.Popen(
            [program, "-p", folder, "-c", folder / "nginx.conf"],
            env=peers.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _wait(process, far)
            yield Origin(near, far, tuple(names))
        finally:
            process.terminate()
            process.wait(_SECONDS)


def _wait(process: subprocess.Popen[str], port: int) -> None:
    give_up = time.monotonic() + _SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > give_up:
                assert process.stderr is not None
                process.kill()
                raise AbsentError(f"nginx does not start: {process.stderr.read().strip()[-300:]}") from None
            time.sleep(0.05)
        else:
            return
