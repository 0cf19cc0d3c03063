"""The services of a machine: what ``systemctl`` starts, stops and watches there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
LOGS = Path("/var/log")
ENABLED = Path("/var/lib/ack-machine/enabled")
READY_S = 90.0  # systemd's DefaultTimeoutStartSec
JOINED_S = 1800.0
STOP_S = 90.0  # systemd's DefaultTimeoutStopSec
RESTART_S = 1.0

INACTIVE, ACTIVATING, ACTIVE, FAILED = "inactive", "activating", "active", "failed"
NOT_RUNNING = 3  # exit code of ``systemctl is-active`` (LSB)


@dataclass(eq=False, slots=True)
class Service:
    """One unit. Its process is a child of PID 1, whose main loop reports its end."""

    name: str
    command: tuple[str, ...]
    notifies: bool = False  # says READY=1 over a socket when it serves (sd_notify)
    ready_s: float = READY_S
    pid: int = 0
    state: str = INACTIVE
    wanted: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def do(self, verb: str) -> tuple[int, str]:
        """Return exit code and text of a systemctl verb."""
        verbs = {
            "start": self.start,
            "stop": self.stop,
            "restart": self.restart,
            "enable": self.enable,
            "disable": self.disable,
            "is-enabled": lambda: (0, "enabled") if self.is_enabled() else (1, "disabled"),
            "is-active": self.status,
            "status": self.status,
        }
        if verb not in verbs:
            return 1, f"{verb} is not emulated on local machines"
        return verbs[verb]()

    def restart(self) -> tuple[int, str]:
        self.stop()
        return self.start()

    def enable(self) -> tuple[int, str]:
        ENABLED.mkdir(parents=True, exist_ok=True)
        (ENABLED / self.name).touch()
        return 0, ""

    def disable(self) -> tuple[int, str]:
        (ENABLED / self.name).unlink(missing_ok=True)
        return 0, ""

    def status(self) -> tuple[int, str]:
        return (0 if self.state == ACTIVE else NOT_RUNNING), self.state

    def is_enabled(self) -> bool:
        return (ENABLED / self.name).exists()

    def start(self) -> tuple[int, str]:
        """Launch and wait until it serves."""
        with self.changed:
            if not self.pid:
                self.launch()
            self.changed.wait_for(lambda: self.state != ACTIVATING, self.ready_s)
            if self.state == ACTIVE:
                return 0, ""
        return 1, f"{self.name}.service is {self.state}: see {LOGS / self.name}.log"

    def stop(self) -> tuple[int, str]:
        with self.changed:
            self.tell_to_stop()
            if not self.changed.wait_for(lambda: not self.pid, STOP_S):
                os.kill(self.pid, signal.SIGKILL)
                self.changed.wait_for(lambda: not self.pid)
        return 0, ""

    def launch(self) -> None:
        with self.changed:
            extra = {"NOTIFY_SOCKET": self._await_ready()} if self.notifies else {}
            self.wanted = True
            self.state = ACTIVATING if self.notifies else ACTIVE
            self.pid = spawn(self.command, self.name, extra)

    def tell_to_stop(self) -> None:
        with self.changed:
            self.wanted = False
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGTERM)

    def ended(self, pid: int, code: int) -> None:
        """Take note of a dead child, which may be another's."""
        with self.changed:
            if pid != self.pid:
                return
            had_started = self.state == ACTIVE
            self.pid = 0
            self.state = FAILED if self.wanted or code not in (0, -signal.SIGTERM) else INACTIVE
            self.changed.notify_all()
            if self.wanted and had_started:
                restart = threading.Timer(RESTART_S, self._restart)
                restart.daemon = True
                restart.start()

    def _restart(self) -> None:
        with self.changed:
            if self.wanted and not self.pid:
                self.launch()

    def _await_ready(self) -> str:
        """Return the address of a socket on which the new process says that it serves."""
        address = f"/run/{self.name}.notify"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)  # noqa: PTH108  # a socket's address is text
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(address)

        def listen() -> None:
            with listener:
                while b"READY=1" not in listener.recv(4096):
                    pass
            with self.changed:
                self.state = ACTIVE
                self.changed.notify_all()

        threading.Thread(target=listen, daemon=True).start()
        return address


def machine_services() -> dict[str, Service]:
    """Return the services by every name that scripts use for them."""
    ssh = Service("ssh", ("/usr/sbin/sshd", "-D", "-e"))
    # The node agent stands in for kubelet, under its name: ``systemctl is-active kubelet`` holds.
    # Ready is registered, which comes after the pulls of all system images.
    agent = (sys.executable, "-I", "/opt/ack-guest/agent.py")
    kubelet = Service("kubelet", agent, notifies=True, ready_s=JOINED_S)
    containerd = Service("containerd", (shutil.which("containerd") or "containerd",), notifies=True)
    return {"ssh": ssh, "sshd": ssh, "containerd": containerd, "kubelet": kubelet}


def spawn(command: tuple[str, ...], log: str, extra: dict[str, str]) -> int:
    """Start a process in a session of its own, with its output in ``/var/log/LOG.log``."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        command,
        ENVIRONMENT | extra,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, f"{LOGS}/{log}.log", flags, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD),
    )
