"""Loop devices: a file as a block device."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from emulator.machines.base import MachineError
from emulator.machines.real.commands import attempt, run

log = logging.getLogger(__name__)

# losetup finds a free device and then takes it: two at once may find the same one.
_one_at_a_time = threading.Lock()
_TRIES = 10  # another emulator on this host has a lock of its own


@dataclass(frozen=True, slots=True)
class Loop:
    device: Path
    major: int
    minor: int


def attach(file: Path) -> Loop:
    """Make ``file`` a block device; direct I/O, so that nothing is cached twice.

    :raises MachineError: when the kernel gives no loop device.
    """
    device = _find_and_attach(file)
    number = device.stat().st_rdev
    return Loop(device, os.major(number), os.minor(number))


def _find_and_attach(file: Path) -> Path:
    for attempts_left in range(_TRIES, 0, -1):
        try:
            with _one_at_a_time:
                return Path(run("losetup", "--find", "--show", "--direct-io=on", file).strip())
        except MachineError as error:
            if "busy" not in str(error) or attempts_left == 1:
                complaint = error
                break
    log.warning("%s: no loop device with direct I/O (%s); trying without", file, complaint)
    with _one_at_a_time:
        return Path(run("losetup", "--find", "--show", file).strip())


def detach(loop: Path, patience_s: float = 60.0) -> None:
    """Give the device back and wait until the kernel has let go of the file.

    :raises MachineError: when something still uses the device after ``patience_s``.
    """
    complaint = attempt("losetup", "--detach", loop)
    backing = Path("/sys/block") / loop.name / "loop" / "backing_file"
    deadline = time.monotonic() + patience_s
    while backing.exists():
        if time.monotonic() > deadline:
            raise MachineError(f"{loop} is still in use: {complaint or 'it will go when closed'}")
        time.sleep(0.005)


def under(folder: Path) -> list[Path]:
    """Return the loop devices whose file lies below ``folder``, deleted files included."""
    listed = run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE")
    devices = json.loads(listed)["loopdevices"] if listed.strip() else []
    return [
        Path(device["name"])
        for device in devices
        if Path((device["back-file"] or "").removesuffix(" (deleted)")).is_relative_to(folder)
    ]
