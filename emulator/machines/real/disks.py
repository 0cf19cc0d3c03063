"""Disks and snapshots: sparse files on a store that clones them without copying."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

from emulator.machines.base import MachineError
from emulator.machines.real import loops
from emulator.machines.real.commands import run
from emulator.machines.real.lazy import LazyDisks
from emulator.machines.real.mounts import mounted_under, unmount

log = logging.getLogger(__name__)

GIB = 1 << 30
BLOCK = 512  # unit of st_blocks, whatever the file system's own block size

# The store is sparse too. It may claim this share of what is free, so that a full store says
# "no space" to one machine before it fills the host's own disk.
SHARE_OF_FREE = 0.9
SMALLEST_STORE = 2 * GIB  # below it not even one small machine fits


class DiskStore:
    """A loop-backed XFS in the state folder, which clones a 40 GiB disk in some 15 ms.

    Where the host gives no loop device or has no XFS, a plain folder: clones are copies then,
    unless the host's own file system can share blocks.
    """

    def __init__(self, base: Path, lazy_mb_per_s: float = 0.0) -> None:
        """Keep everything in ``base`` and a file beside it, made and removed with the store."""
        self.base = base
        self.folder = base / "xfs"
        self._lazy = LazyDisks(self.folder / "lazy", lazy_mb_per_s)
        self.shares_blocks = False
        # Beside it: inside, the loop device would keep the mount at ``base`` busy.
        self._image = base.with_name(base.name + ".xfs")

    def open(self) -> None:
        """Make the store, empty.

        :raises MachineError: when the host's disk is too full for any machine.
        """
        free = shutil.disk_usage(self.base.parent).free
        if free < SMALLEST_STORE:
            raise MachineError(
                f"{self.base.parent} has {free // GIB} GiB free and machines need at least "
                f"{SMALLEST_STORE // GIB} GiB; free some, or put --state on another disk"
            )
        self.folder.mkdir(parents=True)
        try:
            self._mount_xfs(int(free * SHARE_OF_FREE))
            self.shares_blocks = True
        except MachineError as error:
            log.warning("no XFS store, so snapshots are full copies and slow: %s", error)
            self._image.unlink(missing_ok=True)
        self.make_folders()

    def make_folders(self) -> None:
        for kind in ("disks", "snapshots", "machines"):
            (self.folder / kind).mkdir()
        self._lazy.open()

    def _mount_xfs(self, size: int) -> None:
        with self._image.open("wb") as image:
            image.truncate(size)
        run("mkfs.xfs", "-q", "-m", "reflink=1", self._image)
        # Any process may copy the host's mounts into a namespace of its own and keep the store
        # busy there. From a shared mount such copies hear that the store is unmounted.
        run("mount", "--bind", self.base, self.base)
        run("mount", "--make-shared", self.base)
        loop = loops.attach(self._image)
        try:
            # discard: what is deleted here is given back to the host's disk.
            run("mount", "-t", "xfs", "-o", "noatime,discard", loop.device, self.folder)
        except MachineError:
            loops.detach(loop.device)
            unmount(self.base)
            raise

    def exists(self) -> bool:
        return self.base.exists() or self._image.exists()

    def close(self) -> None:
        """Remove the store with everything on it."""
        for point in mounted_under(self.base):
            unmount(point)
        for device in loops.under(self._image):
            try:
                loops.detach(device, patience_s=20.0)
            except MachineError as error:
                log.warning("%s: another process has a copy of the mount; it goes with it", error)
        self._image.unlink(missing_ok=True)
        shutil.rmtree(self.base, ignore_errors=True)

    def disk(self, disk_id: str) -> Path:
        return self.folder / "disks" / _plain(disk_id)

    def snapshot(self, snapshot_id: str) -> Path:
        return self.folder / "snapshots" / _plain(snapshot_id)

    def machine(self, machine_id: str) -> Path:
        return self.folder / "machines" / _plain(machine_id)

    def create_disk(self, disk_id: str, size_gib: int, snapshot_id: str | None) -> None:
        disk = self.disk(disk_id)
        if disk.exists():
            raise MachineError(f"disk {disk_id} exists already")
        size = size_gib * GIB
        if snapshot_id is None:
            with disk.open("wb") as file:
                file.truncate(size)
            return
        source = self.existing(self.snapshot(snapshot_id))
        if size < source.stat().st_size:
            needed = -(-source.stat().st_size // GIB)
            raise MachineError(
                f"disk {disk_id} of {size_gib} GiB is smaller than snapshot {snapshot_id}; "
                f"ask for {needed} GiB or more"
            )
        self._clone(source, disk)
        os.truncate(disk, size)
        self._lazy.restored(disk.name, disk)

    def delete_disk(self, disk_id: str) -> None:
        disk = self.existing(self.disk(disk_id))
        disk.unlink()
        self._lazy.forget(disk.name)

    def attach(self, disk_id: str) -> loops.Loop:
        """Make a disk a block device.

        :raises MachineError: when there is no such disk, or the host cannot.
        """
        disk = self.existing(self.disk(disk_id))
        shown = self._lazy.show(disk.name, disk)
        try:
            return loops.attach(shown)
        except MachineError:
            self._lazy.hide(disk.name)
            raise

    def detach(self, disk_id: str, loop: loops.Loop) -> None:
        """Take the block device away.

        :raises MachineError: when something still uses it; no server is left then either, if
            that can be.
        """
        try:
            loops.detach(loop.device)
        finally:
            self._lazy.hide(disk_id)

    def create_snapshot(self, snapshot_id: str, disk_id: str) -> int:
        """Clone what has reached the disk, as a power cut would leave it; return its bytes."""
        snapshot = self.snapshot(snapshot_id)
        if snapshot.exists():
            raise MachineError(f"snapshot {snapshot_id} exists already")
        self._clone(self.existing(self.disk(disk_id)), snapshot)
        return snapshot.stat().st_blocks * BLOCK

    def delete_snapshot(self, snapshot_id: str) -> None:
        self.existing(self.snapshot(snapshot_id)).unlink()

    def freeze(self, disk_id: str) -> Path:
        """Return a copy of the disk as it is at this moment, beside it."""
        copy = self.disk(disk_id).with_suffix(".frozen")
        self._clone(self.existing(self.disk(disk_id)), copy)
        return copy

    def _clone(self, source: Path, target: Path) -> None:
        how = "--reflink=always" if self.shares_blocks else "--reflink=auto"
        try:
            run("cp", how, "--sparse=auto", source, target)
        except MachineError:
            target.unlink(missing_ok=True)  # half a copy must not pass for a snapshot
            raise

    def existing(self, file: Path) -> Path:
        """Return ``file``.

        :raises MachineError: when there is no such disk or snapshot.
        """
        if not file.exists():
            raise MachineError(f"{file.parent.name[:-1]} {file.name} does not exist")
        return file


def _plain(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise MachineError(f"{name!r} is not an id: only letters, digits, - and _ are taken")
    return name
