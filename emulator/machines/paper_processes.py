"""The processes that scripts leave running on a paper machine: found by a mark, ended at a stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "ACK_PRELOAD_ROOT"
PROC = Path("/proc")
ENDS_WITHIN_S = 5.0  # a process that is killed ends as soon as it is scheduled


def end_all(root: Path, sessions: set[int]) -> None:
    """Kill what runs on the machine with this root folder.

    :param sessions: ids of the sessions that its commands were started in. Where ``/proc`` shows
        environments, these decide; elsewhere the session does.
    """
    until = time.monotonic() + ENDS_WITHIN_S
    # Again and again: one may start another between our look and its end.
    while (pids := running(root, sessions)) and time.monotonic() < until:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def running(root: Path, sessions: set[int]) -> list[int]:
    """Return the processes of the machine with this root folder."""
    return list(_running(root, sessions))


def _running(root: Path, sessions: set[int]) -> Iterator[int]:
    mark = f"{MARK}={root}".encode()
    for pid in _pids():
        environment = PROC / str(pid) / "environ"
        try:
            if PROC.is_dir():
                is_ours = mark in environment.read_bytes().split(b"\0")
            else:
                is_ours = os.getsid(pid) in sessions
        except OSError:  # gone in the meantime, or of another user
            continue
        if is_ours and pid != os.getpid():
            yield pid


def _pids() -> list[int]:
    if PROC.is_dir():
        return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    listed = subprocess.run(["ps", "-axo", "pid="], capture_output=True, text=True, check=True)
    return [int(word) for word in listed.stdout.split()]
