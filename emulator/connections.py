"""The open connections of the front, so that a fault can cut the one that a call came over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Close at once and discard what was not sent: the client gets a reset, not an orderly end.
LINGER_OFF = struct.pack("ii", 1, 0)

Client = tuple[Any, ...]


class Connections:
    """Transports by the client's address and port."""

    def __init__(self) -> None:
        self._open: dict[Client, asyncio.Transport] = {}
        self._ending = asyncio.Event()

    def protocol(self) -> type[HttpToolsProtocol]:
        """Return uvicorn's protocol, which tells of connections here."""
        connections = self._open

        class Known(HttpToolsProtocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
                super().connection_made(transport)
                if self.client is not None:
                    connections[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    connections.pop(self.client, None)
                super().connection_lost(exc)

        return Known

    def end(self) -> None:
        """Let no answer be held back any longer: the server is about to end."""
        self._ending.set()

    async def hold_back(self, seconds: float) -> None:
        """Wait for so long, in real time as a client's clock is real, or until the server ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def cut(self, scope: MutableMapping[str, Any]) -> None:
        """Reset the connection of a request. What is answered to it afterwards goes nowhere."""
        transport = self._open.get(tuple(scope["client"] or ()))
        if transport is None:
            return
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
        transport.abort()
        await asyncio.sleep(0)  # the loop tells uvicorn and closes the socket in its next step
