"""How the servers of a local cloud end: idle clients are cut off, calls under way are answered."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from emulator.app import running
from emulator.lifetime import bound
from emulator.serving import PartServer
from tests.conftest import INSTANT

REQUEST = b"GET / HTTP/1.1\r\nHost: local\r\n\r\n"


def test_a_client_that_keeps_its_connection_is_cut_off(tmp_path: Path) -> None:
    with running(tmp_path, settings=INSTANT, seed="empty") as handle:
        host, port = handle.facts["ecs_endpoint"].split(":")
        client = socket.create_connection((host, int(port)), timeout=10)
        client.sendall(REQUEST)
        assert client.recv(65536).startswith(b"HTTP/1.1")
    with client:
        left = client.recv(65536)
        while left.strip():
            left = client.recv(65536)
        assert left == b""


async def test_a_call_under_way_is_answered_before_a_server_ends() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> Response:
        arrived.set()
        await go_on.wait()
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/", slow)])
    server = PartServer(uvicorn.Config(app, lifespan="off", log_config=None))
    listener = bound(0)
    listener.listen()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(REQUEST)
    await arrived.wait()
    server.end()
    await asyncio.sleep(0)
    assert not serving.done()
    go_on.set()
    assert (await reader.read()).endswith(b"done")
    writer.close()
    await serving
