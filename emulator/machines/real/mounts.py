"""Read what is mounted, from the kernel's own table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from emulator.machines.base import MachineError
from emulator.machines.real.commands import attempt


@dataclass(frozen=True, slots=True)
class Mount:
    point: Path
    kind: str  # file system type
    options: tuple[str, ...]  # of the file system, not of the mount


def parse_mountinfo(text: str) -> list[Mount]:
    """Parse ``/proc/self/mountinfo`` (proc(5)), in mount order."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        kind, _source, options = right.split(" ", 2)
        mounts.append(Mount(Path(unescape(left.split(" ")[4])), kind, tuple(options.split(","))))
    return mounts


def unescape(field: str) -> str:
    r"""Undo the kernel's octal escapes: blank, tab, newline and backslash."""
    for code, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        field = field.replace("\\" + code, character)
    return field


def mounted() -> list[Mount]:
    return parse_mountinfo(Path("/proc/self/mountinfo").read_text())


def mounted_under(folder: Path) -> list[Path]:
    """Return the mount points at or below ``folder``, the last mounted first."""
    inside = [mount.point for mount in mounted() if mount.point.is_relative_to(folder)]
    return inside[::-1]


def unmount(point: Path, patience_s: float = 60.0) -> None:
    """Unmount, again while the kernel still winds up what was running there.

    :raises MachineError: when something holds the file system for longer than ``patience_s``.
    """
    deadline = time.monotonic() + patience_s
    while complaint := attempt("umount", point):
        if not any(mount.point == point for mount in mounted()):
            return
        if time.monotonic() > deadline:
            raise MachineError(f"{point} cannot be unmounted: {complaint}")
        time.sleep(0.02)
