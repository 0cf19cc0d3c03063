"""The proxy that puts faults before a server, at its edges."""

from __future__ import annotations

import contextlib
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.content.faulty_front import BEHIND, FaultyFront
from emulator.content.served import ServedProcess
from emulator.faults import Faults, PackageMissing
from emulator.machines.base import MachineError

pytestmark = [pytest.mark.machine, pytest.mark.slow]


@pytest.fixture
def faults() -> Faults:
    return Faults()


class Endless(ServedProcess):
    """A server that answers as HTTP/1.0 may: without saying how much."""

    def _command(self) -> list[str]:
        program = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 3_000_000)
http.server.HTTPServer(({self.address!r}, {self.port}), Handler).serve_forever()
"""
        return [sys.executable, "-c", program]


def listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Endless]:
    with listen(0) as free:
        port = free.getsockname()[1]
    server = Endless("127.0.0.1", port, None, tmp_path / "log")
    server.start()
    yield server
    server.stop()


def test_an_answer_without_a_length_is_passed_on_whole(endless: Endless, faults: Faults) -> None:
    front = FaultyFront(endless, faults, (PackageMissing,), listen)
    faults.add(PackageMissing(target="/another"))
    url = f"http://{endless.address}:{endless.port}/"
    front.open()
    try:
        with urllib.request.urlopen(url) as answer:
            assert len(answer.read()) == 3_000_000
    finally:
        front.close()


@pytest.mark.parametrize("taken", [0, BEHIND], ids=["its own address", "the one behind"])
def test_a_server_goes_on_where_no_front_can_be(
    endless: Endless, faults: Faults, taken: int
) -> None:
    def refuse(port: int) -> socket.socket:
        raise MachineError(f"{port} is taken")

    url = f"http://{endless.address}:{endless.port}/"
    front = FaultyFront(endless, faults, (PackageMissing,), refuse)
    faults.add(PackageMissing(target="/another"))
    with contextlib.ExitStack() as undo:
        undo.callback(front.close)
        if taken:
            undo.enter_context(listen(endless.port + taken))
        with pytest.raises(MachineError, match="taken"):
            front.open()
        with urllib.request.urlopen(url) as answer:
            assert len(answer.read()) == 3_000_000
