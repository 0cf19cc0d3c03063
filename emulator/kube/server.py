"""Serve an API server over TLS on sockets that someone else has opened."""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette

from emulator.kube.pki import Pki
from emulator.serving import PartServer

_LAST_REQUESTS_S = 2  # how long a stop waits for requests under way; watches are ended before


class KubeServer(PartServer):
    """The API server of one cluster."""

    def __init__(self, app: Starlette, pki: Pki) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ssl_certfile=str(pki.cert_file),
                ssl_keyfile=str(pki.key_file),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_REQUESTS_S,
            )
        )

    def close_idle(self) -> None:
        """Cut off idle connections.

        A client that keeps one open does not read from it, so it would never take part in the
        orderly end of TLS that a stop otherwise waits for.
        """
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is None or cycle.response_complete:
                connection.transport.abort()

    async def serve_on(self, sockets: list[socket.socket]) -> None:
        """Answer on all sockets until ``end`` is called."""
        await self.serve(sockets=sockets)
