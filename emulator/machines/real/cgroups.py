"""Control groups of machines, in version 1 or 2, by what this host has mounted.

A machine gets one group a hierarchy, ``ackpN/MACHINE``. It sees that group as the root of its
own hierarchy (a cgroup namespace), so what containerd makes in it ends with the machine.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.machines.base import MachineError
from emulator.machines.real.mounts import Mount, mounted
from emulator.machines.real.processes import signal_if

log = logging.getLogger(__name__)

BASE = Path("/sys/fs/cgroup")
# Kernel parameters of version 1 that are the name of a hierarchy; the rest are mount flags.
_FLAGS = {"rw", "ro", "clone_children", "xattr", "noprefix"}
LAUNCHER = "launcher"  # version 2: where the parents of the machines' first processes sit


@dataclass(frozen=True, slots=True)
class Hierarchy:
    point: Path
    version: int
    options: str  # mount options that name it, such as ``cpu,cpuacct`` or ``name=systemd``


def hierarchies(mounts: Sequence[Mount] | None = None) -> list[Hierarchy]:
    """Return the hierarchies that machines use.

    Version 2 only where it is the host's main one: the extra version 2 mount of a "hybrid"
    host has no controllers.

    :raises MachineError: when no cgroup file system is mounted.
    """
    mounts = mounted() if mounts is None else mounts
    if any(mount.point == BASE and mount.kind == "cgroup2" for mount in mounts):
        return [Hierarchy(BASE, 2, "")]
    found = {}
    for mount in mounts:
        if mount.kind == "cgroup":
            options = [word for word in mount.options if word not in _FLAGS]
            names = [word for word in options if not word.startswith("release_agent=")]
            found[mount.point] = Hierarchy(mount.point, 1, ",".join(names))
    if not found:
        raise MachineError(f"no cgroup file system is mounted below {BASE}; machines need one")
    return list(found.values())


def version() -> int:
    return hierarchies()[0].version


def existing(prefix: str) -> list[Path]:
    """Return the top groups of an emulator that are there."""
    groups = (hierarchy.point / prefix for hierarchy in hierarchies())
    return [group for group in groups if group.exists()]


def create(prefix: str, machine_id: str) -> list[Path]:
    """Make a machine's groups and return them, one a hierarchy."""
    groups = []
    for hierarchy in hierarchies():
        top = hierarchy.point / prefix
        group = top / machine_id
        if hierarchy.version == 2:  # noqa: PLR2004  # the version's own name
            _delegate(hierarchy.point)
            top.mkdir(exist_ok=True)
            _delegate(top)
            (top / LAUNCHER).mkdir(exist_ok=True)
        for folder in (top, group):
            folder.mkdir(exist_ok=True)
            if "cpuset" in hierarchy.options.split(","):
                _copy_cpuset(folder)
        groups.append(group)
    return groups


def _delegate(group: Path) -> None:
    """Version 2: hand every controller that ``group`` has on to the groups below it."""
    given = set((group / "cgroup.subtree_control").read_text().split())
    for controller in (group / "cgroup.controllers").read_text().split():
        if controller in given:
            continue
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            # A host that was started inside a container has processes in its top group, and
            # then hands nothing on. Machines run without that controller all the same.
            log.warning("%s does not hand on controller %s: %s", group, controller, error)


def _copy_cpuset(group: Path) -> None:
    """Version 1: a new cpuset has no processors, and a group without any takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (group / name).read_text().strip():
            (group / name).write_text((group.parent / name).read_text())


def move_to_launcher(prefix: str, pid: int) -> None:
    """Version 2: move the waiting parent of a machine out of the machine's own group.

    A group that hands on controllers may hold no process itself.
    """
    for group in existing(prefix):
        if (group / LAUNCHER).exists():
            (group / LAUNCHER / "cgroup.procs").write_text(str(pid))


def members(group: Path) -> Iterator[int]:
    """Return the processes in a group and in all groups below it."""
    for listing in [group / "cgroup.procs", *group.glob("**/cgroup.procs")]:
        try:
            yield from (int(line) for line in listing.read_text().split())
        except (FileNotFoundError, OSError):
            continue  # the group went while we read


def kill(group: Path, patience_s: float = 60.0) -> int:
    """End every process in a group and return how many were there.

    :raises MachineError: when one does not end, which only a process stuck in the kernel does.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + patience_s
    while pids := set(members(group)) - {0}:  # 0: from a PID namespace that is not below ours
        for pid in pids:
            if signal_if(pid, signal.SIGKILL, lambda one: one in set(members(group))):
                ended.add(pid)
        if time.monotonic() > deadline:
            raise MachineError(f"{group}: processes {sorted(pids)} do not end on SIGKILL")
        time.sleep(0.01)
    return len(ended)


def remove(group: Path, patience_s: float = 60.0) -> None:
    """Remove a group and all below it, deepest first.

    :raises MachineError: when the kernel still counts something in it after ``patience_s``.
    """
    deadline = time.monotonic() + patience_s
    while group.exists():
        try:
            below = [folder for folder in group.glob("**/") if folder != group]
            for folder in sorted(below, key=lambda path: -len(path.parts)):
                folder.rmdir()
            group.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:  # the last process is counted until it is reaped
            if time.monotonic() > deadline:
                raise MachineError(f"cgroup {group} cannot be removed: {error}") from error
            time.sleep(0.01)
