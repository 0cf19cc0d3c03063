"""Disks that load lazily: a block of a disk from a snapshot is slow the first time it is read.

What is exact, and what is only near: docs/lazy-disks.md.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from emulator.machines.base import MachineError
from emulator.machines.real import lazy_server
from emulator.machines.real.commands import environment
from emulator.machines.real.lazy_server import BLOCK, COLD
from emulator.machines.real.mounts import unmount

log = logging.getLogger(__name__)

FUSE = Path("/dev/fuse")
READY_S = 60.0  # it takes a few hundredths of a second
END_S = 60.0
MEGABYTE = 10**6


class LazyDisks:
    """The lazy disks of one store, each with a map of what is still to be read.

    :param mb_per_s: megabytes (10^6) a second at which blocks are read the first time; 0 is off.
    """

    def __init__(self, folder: Path, mb_per_s: float) -> None:
        self._folder = folder
        self._mb_per_s = mb_per_s
        self._servers: dict[str, subprocess.Popen[str]] = {}

    def open(self) -> None:
        """Make the folder, where it is needed.

        :raises MachineError: when the host cannot have lazy disks.
        """
        if not self._mb_per_s:
            return
        if not FUSE.exists():
            raise MachineError(
                f"lazy_disk_mb_per_s is {self._mb_per_s:g} and this host has no {FUSE}: modprobe "
                "fuse; in a container: docker run --privileged; or leave lazy_disk_mb_per_s at 0"
            )
        self._folder.mkdir()

    def restored(self, name: str, disk: Path) -> None:
        """Note that a disk came from a snapshot: all that it holds is still to be read.

        What the snapshot does not hold reads as zeros and is fast, as there is nothing to load.
        """
        if not self._mb_per_s:
            return
        size = disk.stat().st_size
        with self._map(name).open("wb") as blocks:
            blocks.truncate(-(-size // BLOCK))
            for start, end in _extents(disk, size):
                first, after = start // BLOCK, -(-end // BLOCK)
                blocks.seek(first)
                blocks.write(bytes([COLD]) * (after - first))

    def show(self, name: str, disk: Path) -> Path:
        """Return the file to attach for a disk: itself, or one that is served lazily.

        :raises MachineError: when it cannot be served.
        """
        if not self._map(name).exists():
            return disk
        point = self._point(name)
        point.touch()
        rate = f"{self._mb_per_s * MEGABYTE:.0f}"
        command = [sys.executable, "-I", "-S", lazy_server.__file__]
        server = subprocess.Popen(
            [*command, str(disk), str(self._map(name)), str(point), rate],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd="/",
            start_new_session=True,  # Ctrl-C is for the emulator alone, which then unmounts
        )
        try:
            if not _is_ready(server):
                raise MachineError(
                    f"disk {name} is not served lazily within {READY_S:g} s; see the emulator's log"
                )
        except BaseException:
            server.kill()
            server.wait(END_S)
            unmount(point)  # it may have come as far as that
            raise
        self._servers[name] = server
        return point

    def hide(self, name: str) -> None:
        """Stop serving a disk; none that is not served is an error.

        :raises MachineError: when something still uses it.
        """
        server = self._servers.get(name)
        if server is None:
            return
        unmount(self._point(name))
        del self._servers[name]  # only now: who failed above may try again
        try:
            server.wait(END_S)  # it ends by itself when the last mount has gone
        except subprocess.TimeoutExpired:
            log.warning("disk %s: a copy of its mount is in use; its server is ended", name)
            server.kill()
            server.wait(END_S)

    def forget(self, name: str) -> None:
        """Remove what was noted about a disk."""
        self._map(name).unlink(missing_ok=True)
        self._point(name).unlink(missing_ok=True)

    def _map(self, name: str) -> Path:
        return self._folder / f"{name}.map"

    def _point(self, name: str) -> Path:
        return self._folder / name


def _is_ready(server: subprocess.Popen[str]) -> bool:
    """Wait until a server says that it serves; one that says nothing in time is killed."""
    assert server.stdout is not None  # noqa: S101  # it was started with a pipe
    limit = threading.Timer(READY_S, server.kill)
    limit.start()
    try:
        with server.stdout as said:
            return said.readline().strip() == "ready"
    finally:
        limit.cancel()


def _extents(file: Path, size: int) -> Iterator[tuple[int, int]]:
    """Return start and end of each part of a sparse file that holds data."""
    with file.open("rb") as opened:
        end = 0
        while end < size:
            try:
                start = os.lseek(opened.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                return
            end = os.lseek(opened.fileno(), start, os.SEEK_HOLE)
            yield start, end
