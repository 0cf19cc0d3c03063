"""A uvicorn server as a part of this process: no signals, and an end without pauses.

uvicorn looks ten times a second whether it is to end, and then waits a tenth of a second for
clients that may not be there. A run of all tests ends some seven hundred servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

TICK_S = 0.1  # as uvicorn's; it keeps the header Date up to date
TICKS = 864000  # then uvicorn counts from the start
STEPS_OF_LOOP = 2  # a transport that is closed tells of it in the next step


class PartServer(uvicorn.Server):
    """Serves until ``end`` is called on its loop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._asked = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._asked.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        tick = 0
        while not await self.on_tick(tick):
            tick = (tick + 1) % TICKS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close idle connections; wait, as uvicorn does, only for answers under way."""
        for server in self.servers:
            server.close()
        self.close_idle()
        for _ in range(STEPS_OF_LOOP):
            await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for each in sockets or []:
            each.close()
        for server in self.servers:
            await server.wait_closed()

    def close_idle(self) -> None:
        for connection in list(self.server_state.connections):
            connection.shutdown()
