"""Loopback addresses of paper machines: whole /24 networks of 127.77.0.0/16, taken as needed."""

from __future__ import annotations

import errno
import heapq
import socket

from emulator.machines.base import MachineError

SSH_PORT = 2222  # root is needed for 22
NETWORK = "127.77"
NETWORKS = 256
FIRST_HOST, LAST_HOST = 10, 250


class PaperNetwork:
    """The addresses of one emulator. A network is its own as long as its first port is held."""

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []
        self._free: list[tuple[int, int]] = []  # a heap of (network, host): the lowest goes first
        self._addresses: dict[str, str] = {}
        self.gateway_ip = ""

    def open(self) -> None:
        """Take the first network; its address .1 is the gateway.

        :raises MachineError: as :meth:`reserve`.
        """
        self.gateway_ip = f"{NETWORK}.{self._claim()}.1"

    def close(self) -> None:
        for claim in self._claims:
            claim.close()
        self._claims.clear()
        self._free.clear()
        self._addresses.clear()

    def reserve(self, machine_id: str) -> str:
        """Return a free address; the same one when asked again.

        :raises MachineError: where loopback has no such addresses (macOS), or all are taken.
        """
        if machine_id not in self._addresses:
            if not self._free:
                self._claim()
            network, host = heapq.heappop(self._free)
            self._addresses[machine_id] = f"{NETWORK}.{network}.{host}"
        return self._addresses[machine_id]

    def give_back(self, machine_id: str) -> None:
        address = self._addresses.pop(machine_id, None)
        if address is not None:
            network, host = map(int, address.split(".")[2:])
            heapq.heappush(self._free, (network, host))

    def _claim(self) -> int:
        """Take the first network that nobody on this host has, and return its number."""
        problem: OSError | None = None
        for number in range(NETWORKS):
            try:
                self._claims.append(listening(f"{NETWORK}.{number}.1", SSH_PORT))
            except OSError as exc:
                problem = exc
                if exc.errno != errno.EADDRINUSE:
                    break
            else:
                for host in range(FIRST_HOST, LAST_HOST):
                    heapq.heappush(self._free, (number, host))
                return number
        raise MachineError(
            f"no network for paper machines in {NETWORK}.0.0/16: {problem}; on macOS give "
            f"loopback the addresses first: sudo ifconfig lo0 alias {NETWORK}.0.1 (and .10, .11 "
            "...), elsewhere end other emulators"
        )


def listening(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
