from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from nightlatch.operations.errors import OperationError
from nightlatch.operations.local_server import (
    local_endpoint,
    read_server,
    remove_state,
    stop_server,
    wait_until_up,
)

if TYPE_CHECKING:
    from pathlib import Path


def announce(state: Path, pid: int, port: int = 9) -> None:
    state.mkdir(exist_ok=True)
    endpoint = {"url": f"http://127.0.0.1:{port}", "pid": pid, "port": port, "started_at": 1_795_000_000.5}
    (state / "endpoint.json").write_text(json.dumps(endpoint))


def test_without_an_endpoint_nothing_runs(tmp_path: Path) -> None:
    assert not read_server(tmp_path).running
    with pytest.raises(OperationError) as caught:
        local_endpoint(tmp_path)

    assert caught.value.code == "LOCAL-001"


def test_an_endpoint_of_a_dead_process_is_none(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    announce(tmp_path, dead.pid)

    assert not read_server(tmp_path).running
    with pytest.raises(OperationError):
        local_endpoint(tmp_path)
    assert not stop_server(tmp_path, 1).running


def test_a_server_that_answers_runs(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        announce(tmp_path, os.getpid(), server.server_port)
        found = read_server(tmp_path)
        server.shutdown()
        thread.join()

    assert found.running
    assert found.started_at is not None
    assert found.started_at.year == 2026


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("port 4566 is taken\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])

    with pytest.raises(OperationError) as caught:
        wait_until_up(tmp_path, process, 20)

    assert caught.value.code == "LOCAL-002"
    assert ("why", "the process ended with status 3") in caught.value.facts
    assert ("says", "port 4566 is taken") in caught.value.facts


def test_stop_waits_until_the_process_is_gone(tmp_path: Path) -> None:
    program = "import signal, sys; print('up', flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    announce(tmp_path, process.pid)

    stop_server(tmp_path, 20)

    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    process.stdout.close()
    process.poll()


def test_only_a_state_folder_is_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.txt").touch()
    state = tmp_path / "state"
    announce(state, 1)

    with pytest.raises(OperationError, match="does not look like"):
        remove_state(precious)
    remove_state(state)
    remove_state(tmp_path / "never-was")

    assert (precious / "thesis.txt").exists()
    assert not state.exists()
