"""Data disks without room: filled while a fault says so, as soon as they are mounted.

The room is taken by a file on the disk, ``.disk-full``, allocated but not written, so that ext4
itself answers ENOSPC to whoever writes. It goes with the fault; on a disk that is not mounted
then, and in a snapshot, it stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from emulator.faults import DiskFull, Faults
from emulator.machines.base import MachineSpec

FILLING = ".disk-full"
LOOK_EVERY_S = 0.02
MIB = 2**20
EXT4_BLOCK = 4096  # mkfs's choice for every disk of 512 MiB and more; a cluster is one block


class FullDisks:
    """Watches the mounts of one running machine for as long as a fault names one of its disks.

    :param numbers: disk id -> ``major:minor`` of its device.
    """

    def __init__(self, spec: MachineSpec, faults: Faults, init: int, numbers: dict[str, str]):
        self._spec = spec
        self._faults = faults
        self._root = Path(f"/proc/{init}/root")
        self._mounts = Path(f"/proc/{init}/mountinfo")
        self._numbers = numbers
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        self._faults.watch(self.update)
        self.update()

    def close(self) -> None:
        self._faults.unwatch(self.update)
        with self._lock:
            self._ended.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def update(self) -> None:
        """Fill or empty what is mounted now; watch for what is mounted later."""
        with self._lock:
            if self._look() and self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._watch, name="full disks")
                self._thread.start()

    def _look(self) -> bool:
        """Do what the faults say now; tell whether one holds.

        With the lock held: else the watcher could fill what a fault's end has just emptied.
        """
        full = self._full()
        self._fill(full)
        return bool(full)

    def _full(self) -> dict[str, int]:
        """Return the bytes that each full disk has left, by ``major:minor``."""
        faults = (
            (number, self._faults.holds(DiskFull, disk_id, *self._spec.names))
            for disk_id, number in self._numbers.items()
        )
        return {number: fault.free_mib * MIB for number, fault in faults if fault}

    def _watch(self) -> None:
        try:
            while not self._ended.wait(LOOK_EVERY_S):
                with self._lock:
                    if not self._look():
                        self._thread = None  # under the lock: the next fault starts another
                        return
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _fill(self, full: dict[str, int]) -> None:
        with _may_end():
            for line in self._mounts.read_text().splitlines():
                _, _, number, inner, point, *_ = line.split()
                if inner != "/" or number not in self._numbers.values():
                    continue
                place = self._root / point.lstrip("/")
                if number in full:
                    fill(place, full[number] + reserved(number))
                else:
                    (place / FILLING).unlink(missing_ok=True)


@contextlib.contextmanager
def _may_end() -> Iterator[None]:
    """Bear that the machine ends meanwhile; the table of mounts then answers EINVAL."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.ESRCH, errno.EINVAL):
            raise


def reserved(number: str) -> int:
    """Return the bytes that ext4 counts as free and gives to nobody, not even to root."""
    name = Path("/sys/dev/block", number).resolve().name
    try:
        clusters = int(Path("/sys/fs/ext4", name, "reserved_clusters").read_text())
    except FileNotFoundError:  # another file system
        return 0
    return clusters * EXT4_BLOCK


def fill(place: Path, left: int) -> None:
    """Leave a file system ``left`` bytes, those that only root may use included."""
    if _free(place) <= left:
        return
    with (place / FILLING).open("ab") as file:
        step = _free(place) - left
        while step >= os.statvfs(place).f_frsize and (more := _free(place) - left) > 0:
            size = os.fstat(file.fileno()).st_size
            try:
                os.posix_fallocate(file.fileno(), size, min(step, more))
            except OSError as exc:
                if exc.errno != errno.ENOSPC:
                    raise
                step //= 2  # its own bookkeeping needs blocks too


def _free(place: Path) -> int:
    room = os.statvfs(place)
    return room.f_bfree * room.f_frsize
