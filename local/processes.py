"""Processes of ours: started with a marker, found again by it, stopped with all they started.

The marker is a random token in the environment, inherited by every child, so a process that
left its parent, its group or its session is still found, and nothing else ever matches.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterable

import psutil

from local.airflow_home import MARKER

_SUDO = ("sudo", "-n", "--")


def is_root() -> bool:
    return os.geteuid() == 0


def sudo_works() -> bool:
    """Say whether sudo runs commands without asking for a password."""
    try:
        asked = subprocess.run(
            [*_SUDO, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def as_root(argv: list[str], environment: dict[str, str]) -> list[str]:
    """Return the command that runs ``argv`` as root with that environment, which sudo clears."""
    if is_root():
        return argv
    kept = ("PATH", "PYTHONPATH", "SPT_NOENV", MARKER)
    pairs = [f"{name}={environment[name]}" for name in kept if name in environment]
    # No byte code: folders of the repository must not fill with files of root.
    return [*_SUDO, "env", *pairs, "PYTHONDONTWRITEBYTECODE=1", *argv]


def marked(token: str) -> list[psutil.Process]:
    """Return every living process that carries the token, but not this one."""
    found = []
    for process in psutil.process_iter():
        try:
            carries = process.environ().get(MARKER) == token
            if carries and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            # Gone, a zombie, of another user, or a kernel thread: not ours to stop.
            continue
    return [process for process in found if process.pid != os.getpid()]


def send(process: psutil.Process, sig: signal.Signals) -> None:
    """Signal a process; one of root's (the local cloud under sudo) by way of sudo."""
    try:
        process.send_signal(sig)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        command = [*_SUDO, "kill", f"-{sig.value}", str(process.pid)]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def stop_all(processes: Iterable[psutil.Process], *, within_s: float) -> list[psutil.Process]:
    """Ask all to end, kill those that did not within the time; return those that were killed."""
    processes = list(processes)
    for process in processes:
        send(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    for process in alive:
        send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=5)
    return alive


def find(pid: int, started: float) -> psutil.Process | None:
    """Return the process with that id if it is still the one that started then."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if same else None


def free_port(preferred: int = 0) -> int:
    """Return the preferred port of the loopback address if nothing listens there, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port at 127.0.0.1; close something that listens there")
