"""Do single things inside a network namespace without moving the emulator into it."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from emulator.machines.base import MachineError

CLONE_NEWNET = 0x40000000
FOLDER = Path("/run/netns")  # where ip(8) pins named network namespaces

T = TypeVar("T")


def enter(name: str) -> None:
    """Move the calling thread into a named network namespace, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
    finally:
        os.close(fd)


def inside(name: str, work: Callable[[], T]) -> T:
    """Return ``work()`` done in the network namespace ``name``.

    In a thread of its own: a network namespace belongs to a thread, and this one ends with it.

    :raises MachineError: naming the namespace.
    """
    done: list[T] = []
    failed: list[OSError] = []

    def body() -> None:
        try:
            enter(name)
            done.append(work())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=body, name=f"inside {name}")
    thread.start()
    thread.join()
    if failed:
        raise MachineError(f"network namespace {name}: {failed[0]}") from failed[0]
    return done[0]


def listening_socket(name: str, address: str, port: int) -> socket.socket:
    """Return a listening socket; it stays in namespace ``name`` whoever accepts on it."""
    return inside(name, lambda: socket.create_server((address, port), backlog=256))
