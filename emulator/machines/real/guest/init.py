"""PID 1 of a machine: runs its services, reaps what they leave and shuts down in order.

Standard library only: it runs in the machine, isolated from what is installed there.
SIGTERM shuts down. ``systemctl`` (beside this file) asks for services over a socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.machines.real.guest.services import ENVIRONMENT, Service, machine_services, spawn
else:  # in the machine there is only this folder
    sys.path.insert(0, str(Path(__file__).parent))
    from services import ENVIRONMENT, Service, machine_services, spawn

CONTROL = Path("/run/init.sock")
FSTAB = Path("/etc/fstab")
SERVICE_END_S = 30.0
END_S = 3.0  # for what ignores SIGTERM at shutdown, as systemd's TimeoutStopSec but shorter
RELEASE_S = 20.0  # for the kernel to let go of a disk
SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    # Before any thread: they inherit the mask, so the signals wait for sigwaitinfo below.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    at_boot = mount_points()
    services = machine_services()
    listen(services)
    services["ssh"].launch()
    mount_fstab()
    for service in services.values():
        if service.is_enabled():
            threading.Thread(target=service.start, daemon=True).start()
    spawn(("/bin/bash", "/opt/ack-machine/cloud_init.sh"), "cloud-init-output", {})
    run_until_told_to_stop(services)
    say("shutting down")
    end_everything(services)
    return unmount_all(at_boot)


def run_until_told_to_stop(services: dict[str, Service]) -> None:
    while signal.sigwaitinfo(SIGNALS).si_signo == signal.SIGCHLD:
        reap(services)


def reap(services: dict[str, Service]) -> bool:
    """Collect every dead child; return whether any living one is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        for service in services.values():
            service.ended(pid, os.waitstatus_to_exitcode(status))


def end_everything(services: dict[str, Service]) -> None:
    """Stop the services in order, then all other processes, as a system's shutdown does."""
    for name in ("kubelet", "containerd"):
        services[name].tell_to_stop()
        wait_until(partial(has_ended, services, name), SERVICE_END_S)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, number)
        if wait_until(lambda: not reap(services), END_S):
            return


def has_ended(services: dict[str, Service], name: str) -> bool:
    reap(services)
    return not services[name].pid


def unmount_all(keep: list[str]) -> int:
    """Unmount what was mounted since boot and wait until every disk is free; 0 when all is."""
    deadline = time.monotonic() + RELEASE_S
    while left := [point for point in mount_points()[::-1] if point not in keep]:
        for point in left:
            _libc.umount2(os.fsencode(point), 0)
        if time.monotonic() > deadline:
            say(f"still mounted at power-off: {', '.join(left)}")
            return 1
        time.sleep(0.01)
    os.sync()
    for disk in sorted(Path("/dev").glob("vd[b-z]")):
        if not wait_until(partial(is_free, disk), deadline - time.monotonic()):
            say(f"still in use at power-off: {disk}")
            return 1
    say("powered off")
    return 0


def is_free(disk: Path) -> bool:
    """Open it exclusively, which only works when no mount in any namespace holds it."""
    try:
        os.close(os.open(disk, os.O_RDONLY | os.O_EXCL))
    except OSError:
        return False
    return True


def wait_until(is_done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            return False
        # A child's end cuts this short.
        signal.sigtimedwait({signal.SIGCHLD}, 0.01)
    return True


def mount_points() -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1].replace("\\040", " ") for line in lines]


def mount_fstab() -> None:
    """Mount what the machine's own table lists, which only a second boot finds filled."""
    if FSTAB.read_text().strip():
        pid = spawn(("/bin/mount", "-a"), "mount", {})
        os.waitpid(pid, 0)


def listen(services: dict[str, Service]) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(CONTROL))
    server.listen()

    def accept() -> None:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=answer, args=(connection, services), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def answer(connection: socket.socket, services: dict[str, Service]) -> None:
    """Do one request, ``{"verb", "unit"}``, and reply ``{"code", "text"}``."""
    with connection, connection.makefile("rw") as lines:
        request = json.loads(lines.readline())
        service = services.get(request["unit"])
        if service is None:
            reply = {"code": 5, "text": f"Unit {request['unit']}.service not found."}
        else:
            code, text = service.do(request["verb"])
            reply = {"code": code, "text": text}
        lines.write(json.dumps(reply) + "\n")


def say(what: str) -> None:
    sys.stdout.write(f"init: {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the threads that serve requests never end by themselves
