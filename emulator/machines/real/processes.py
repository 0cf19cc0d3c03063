"""Identify, signal and end processes without ever hitting a stranger that reuses a number."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """A process number alone may be reused; with its start time it is one process for good."""

    pid: int
    started: int  # clock ticks after the host's boot

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of a running process; ``None`` for a dead one or a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The second field is the name in brackets, which may itself hold brackets and blanks.
        fields = stat.rpartition(")")[2].split()
        state, started = fields[0], int(fields[19])
        return None if state in "ZX" else cls(pid, started)

    def is_alive(self) -> bool:
        return Identity.of(self.pid) == self


def boot_id() -> str:
    """Return what tells this boot of the host from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def signal_if(pid: int, number: signal.Signals, is_ours: Callable[[int], bool]) -> bool:
    """Signal ``pid`` if ``is_ours`` still says so once the process is held fast.

    A pidfd pins the process, so the answer cannot go stale before the signal is sent.
    """
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not is_ours(pid):
            return False
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def wait_gone(identity: Identity, timeout_s: float) -> bool:
    """Wait for a process that need not be a child of ours to end."""
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if not identity.is_alive():
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(fd)
