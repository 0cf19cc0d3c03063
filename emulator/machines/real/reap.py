"""Remove what a killed emulator left on the host: everything that bears its number."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from emulator.machines.base import MachineError
from emulator.machines.real import cgroups, loops, namespaces, network, slots
from emulator.machines.real.commands import attempt, run
from emulator.machines.real.disks import DiskStore
from emulator.machines.real.mounts import mounted_under
from emulator.machines.real.processes import Identity, boot_id, signal_if, wait_gone

log = logging.getLogger(__name__)

STORE = "store"  # below the state folder
END_S = 60.0


def reap(state_dir: Path) -> list[str]:
    """Remove what an emulator left that was killed, and return a line for each thing removed.

    Nothing to do is no error. What another emulator owns is never touched: the number in the
    state folder counts only while the host's lock file names the same folder.

    :raises MachineError: when the emulator still runs, or when something cannot be removed.
    """
    state_dir = state_dir.resolve()
    owner = slots.recorded(state_dir / slots.RECORD)
    if owner is None or owner.boot_id != boot_id():
        return _forget_files(state_dir)
    if Identity(owner.pid, owner.started).is_alive():
        raise MachineError(
            f"the emulator of {state_dir} still runs as process {owner.pid}; "
            f"stop it first: kill {owner.pid}"
        )
    lock = slots.lock_number(owner.number)
    if lock is None:
        return _forget_files(state_dir)  # the number is another's by now
    removed = []
    if slots.recorded(slots.lock_file(owner.number)) == owner:
        removed += _remove_numbered(owner.number)
    removed += _forget_files(state_dir)
    slots.Slot(owner, lock).release()
    return removed


def _remove_numbered(number: int) -> list[str]:
    prefix = slots.prefix(number)
    removed = [f"{count} processes of {group}" for group, count in _kill_groups(prefix)]
    attempt("ip", "link", "delete", f"{prefix}-host")
    for name in sorted(path.name for path in namespaces.FOLDER.glob(f"{prefix}-*")):
        removed += [f"process {pid} in network {name}" for pid in _kill_in_namespace(name)]
        network.remove(name)
        removed.append(f"network namespace {name}")
    for group in cgroups.existing(prefix):
        cgroups.remove(group)
        removed.append(f"cgroup {group}")
    return removed


def _kill_groups(prefix: str) -> Iterator[tuple[Path, int]]:
    for group in cgroups.existing(prefix):
        if count := cgroups.kill(group):
            yield group, count


def _kill_in_namespace(name: str) -> Iterator[int]:
    """End the services of the network, which are in no cgroup of ours."""
    inode = (namespaces.FOLDER / name).stat().st_ino

    def is_inside(pid: int) -> bool:
        try:
            return os.stat(f"/proc/{pid}/ns/net").st_ino == inode  # noqa: PTH116  # not a path
        except (FileNotFoundError, ProcessLookupError):
            return False

    for pid in map(int, run("ip", "netns", "pids", name).split()):
        process = Identity.of(pid)
        if process and signal_if(pid, signal.SIGKILL, is_inside):
            if not wait_gone(process, END_S):
                raise MachineError(f"process {pid} in {name} does not end on SIGKILL")
            yield pid


def _forget_files(state_dir: Path) -> list[str]:
    """Remove the store with its mounts and loop devices."""
    removed = []
    store = DiskStore(state_dir / STORE)
    for device in loops.under(store.folder):  # the disks; the store has its own below
        loops.detach(device)
        removed.append(f"loop device {device}")
    removed += [f"mount {point}" for point in mounted_under(store.base)]
    if store.exists():
        store.close()
        removed.append(f"disks in {store.base}")
    (state_dir / slots.RECORD).unlink(missing_ok=True)
    return removed
