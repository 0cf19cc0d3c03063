"""Cut off file systems as a loss of power does: nothing more reaches the disk."""

from __future__ import annotations

import fcntl
import logging
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from emulator.machines.real.loops import Loop
from emulator.machines.real.mounts import unescape

log = logging.getLogger(__name__)

# _IOR('X', 125, __u32), the same number in ext4 (EXT4_IOC_SHUTDOWN) and XFS (XFS_IOC_GOINGDOWN).
SHUTDOWN = 0x8004587D
WITHOUT_FLUSHING = struct.pack("I", 2)  # *_NOLOGFLUSH: not even the journal


def cut_off(init_pid: int, disks: Iterable[Loop]) -> None:
    """Stop all writing to the mounted disks of a machine.

    Without it the kernel would write out every dirty page of a machine that is being killed, for
    seconds, to a disk that nobody reads again. File systems that cannot do it are passed over.
    """
    numbers = {f"{disk.major}:{disk.minor}" for disk in disks}
    root = Path(f"/proc/{init_pid}/root")
    done = set()
    for number, point in _mounted_devices(init_pid):
        if number not in numbers or number in done:
            continue
        try:
            folder = os.open(root / point.lstrip("/"), os.O_RDONLY)
        except OSError:
            continue  # went meanwhile
        try:
            fcntl.ioctl(folder, SHUTDOWN, WITHOUT_FLUSHING)
            done.add(number)
        except OSError as error:
            log.info("%s keeps writing while it is killed: %s", point, error)
        finally:
            os.close(folder)


def _mounted_devices(pid: int) -> Iterator[tuple[str, str]]:
    """Return device number and mount point of what a process sees mounted."""
    try:
        table = Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return
    for line in table.splitlines():
        fields = line.split(" ")
        yield fields[2], unescape(fields[4])
