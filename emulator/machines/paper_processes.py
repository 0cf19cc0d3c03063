"""The processes that scripts leave running on a paper machine: found by a mark, ended at a stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

MARK = "ACK_PRELOAD_ROOT"
PROC = Path("/proc")
KERNEL_THREAD = 0x00200000  # PF_KTHREAD of the kernel's sched.h
LOOKS = 5  # at processes without an environment: in the middle of exec, or they have none
ENDS_WITHIN_S = 5.0  # a process that is killed ends as soon as it is scheduled


def end_all(root: Path, sessions: set[int]) -> None:
    """Kill what runs on the machine with this root folder.

    :param sessions: ids of the sessions that its commands were started in. Where ``/proc`` shows
        environments, these decide; elsewhere the session does.
    """
    until, looks = time.monotonic() + ENDS_WITHIN_S, LOOKS
    # Again and again: one may start another between our look and its end.
    while looks and time.monotonic() < until:
        pids, is_sure = look(root, sessions)
        looks = LOOKS if pids else 0 if is_sure else looks - 1
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01 if looks else 0)


def running(root: Path, sessions: set[int]) -> list[int]:
    """Return the processes of the machine with this root folder."""
    return look(root, sessions)[0]


def look(root: Path, sessions: set[int]) -> tuple[list[int], bool]:
    """Return the machine's processes, and whether these are all.

    They may not be: while a process is in the middle of ``exec`` its environment reads as empty.
    """
    mark = f"{MARK}={root}".encode()
    ours, is_sure = [], True
    for pid in _pids():
        try:
            environment = _environment(pid)
            if environment is None:
                is_ours = os.getsid(pid) in sessions
            else:
                is_ours = mark in environment.split(b"\0")
            is_sure = is_sure and (environment != b"" or not _is_program(pid))
        except OSError:  # gone in the meantime, or of another user
            continue
        if is_ours and pid != os.getpid():
            ours.append(pid)
    return ours, is_sure


def _environment(pid: int) -> bytes | None:
    """Return what the system shows of a process's environment; None where it shows none."""
    return (PROC / str(pid) / "environ").read_bytes() if PROC.is_dir() else None


def _is_program(pid: int) -> bool:
    """Tell whether a process is neither one of the kernel's own nor dead and not yet waited for."""
    state, *numbers = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    flags = int(numbers[5])  # the ninth field, see proc_pid_stat(5)
    return state not in "ZX" and not flags & KERNEL_THREAD


def _pids() -> list[int]:
    if PROC.is_dir():
        return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    listed = subprocess.run(["ps", "-axo", "pid="], capture_output=True, text=True, check=True)
    return [int(word) for word in listed.stdout.split()]
