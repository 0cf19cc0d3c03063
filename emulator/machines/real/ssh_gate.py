"""A way into a machine that can be bad: before its sshd while an SSH fault is armed for it.

Otherwise nothing of this is there. While it is, sshd listens on the machine's loopback only and
has every command run through ``guest/drop.py``, which asks here whether its connection is to be
cut; connections that are open when the gate comes or goes are not touched.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from emulator.faults import Fault, Faults, HostKeyChanged, SshDropped, SshRefused
from emulator.machines.base import MachineError, MachineSpec
from emulator.machines.real import namespaces
from emulator.machines.real.commands import run
from emulator.machines.real.processes import Identity, signal_if

log = logging.getLogger(__name__)

SSH_PORT, QUESTION_PORT = 22, 2299
LOOPBACK = "127.0.0.1"
SSHD_WITHIN_S = 10.0
LOOK_EVERY_S = 0.005
ACCEPT_AGAIN_S = 0.1  # after a failure that is not the listener's own end
KINDS: tuple[type[Fault], ...] = (SshRefused, SshDropped, HostKeyChanged)
BEHIND_GATE = f"""
# Written by emulator/machines/real/ssh_gate.py
ListenAddress {LOOPBACK}
ForceCommand exec {sys.executable} -I -S /opt/ack-machine/drop.py {QUESTION_PORT}
"""


class SshGate:
    """One machine's gate, from its boot to its end.

    :param namespace: the machine's network.
    :param etc: where its ``/etc`` is written before it has booted.
    """

    def __init__(self, spec: MachineSpec, faults: Faults, namespace: str, etc: Path) -> None:
        self._spec = spec
        self._faults = faults
        self._namespace = namespace
        self._etc = etc
        self._init: Identity | None = None
        self._listeners: list[socket.socket] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.RLock()
        self._plain = (etc / "ssh/sshd_config").read_text().partition(BEHIND_GATE)[0]

    def open(self) -> None:
        """Put the gate up at once if a fault is armed, before the machine's sshd starts."""
        self._configure()
        self._faults.watch(self.update)
        self.update()

    def booted(self, init: Identity) -> None:
        """Follow the machine into its own root."""
        with self._lock:
            self._init = init
            self._etc = Path(f"/proc/{init.pid}/root/etc")

    def close(self) -> None:
        self._faults.unwatch(self.update)
        with self._lock:
            self._close_listeners()
            for connection in tuple(self._open):
                _shut(connection)

    def update(self) -> None:
        """Be there when a fault may still strike, and go at the first change of faults after.

        What is spent changes nothing by itself: until then the gate stays, and passes on.

        :raises MachineError: when sshd does not make room, or does not come back.
        """
        with self._lock:
            if self._init is not None and not self._init.is_alive():
                return  # the machine is ending, and the gate with it
            is_wanted = self._faults.may_strike(KINDS, *self._spec.names)
            if is_wanted and not self._listeners:
                self._configure(BEHIND_GATE)
                self._reload()
                self._listen(self._spec.private_ip, SSH_PORT, self._take)
                self._listen(LOOPBACK, QUESTION_PORT, self._answer)
            elif not is_wanted and self._listeners:
                self._close_listeners()
                self._configure()
                self._reload()

    def _configure(self, more: str = "") -> None:
        (self._etc / "ssh/sshd_config").write_text(self._plain + more)

    def _listen(self, address: str, port: int, take: Callable[[socket.socket], None]) -> None:
        listener = namespaces.listening_socket(self._namespace, address, port)
        self._listeners.append(listener)

        threading.Thread(
            target=self._accept,
            args=(listener, take),
            name=f"gate of {self._namespace}",
            daemon=True,
        ).start()

    def _accept(self, listener: socket.socket, take: Callable[[socket.socket], None]) -> None:
        """Take connections until the listener is closed; one that fails ends alone."""
        while True:
            try:
                client = listener.accept()[0]
            except OSError as error:
                if listener not in self._listeners:
                    return
                log.warning("gate of %s: no connection: %s", self._spec.machine_id, error)
                time.sleep(ACCEPT_AGAIN_S)
                continue
            try:
                take(client)
            except (MachineError, OSError) as error:
                client.close()
                log.warning("gate of %s: connection ended: %s", self._spec.machine_id, error)

    def _close_listeners(self) -> None:
        closing = tuple(self._listeners)
        self._listeners.clear()  # first: it tells the threads why they are woken
        for listener in closing:
            _shut(listener)
            listener.close()

    # -- connections

    def _take(self, client: socket.socket) -> None:
        """Refuse or pass on one connection; faults are counted in the order of arrival."""
        if self._faults.strike(SshRefused, *self._spec.names):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        if self._faults.strike(HostKeyChanged, *self._spec.names):
            self._change_key()
        threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError, MachineError),  # sshd is gone, and so is the client
            self._connected() as server,
        ):
            self._open.update((client, server))
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()
            self._open.difference_update((client, server))

    def _connected(self) -> socket.socket:
        """Connect to sshd, which may only just be starting."""
        until = time.monotonic() + SSHD_WITHIN_S
        while True:
            try:
                return namespaces.inside(
                    self._namespace, lambda: socket.create_connection((LOOPBACK, SSH_PORT))
                )
            except MachineError:
                if time.monotonic() > until:
                    raise
            time.sleep(LOOK_EVERY_S)

    def _answer(self, question: socket.socket) -> None:
        """Tell a command after how many bytes to cut its connection, or ``-``."""
        fault = self._faults.strike(SshDropped, *self._spec.names)
        with question, contextlib.suppress(OSError):
            question.sendall(b"-" if fault is None else str(fault.after_bytes).encode())

    # -- sshd

    def _change_key(self) -> None:
        with self._lock:
            key = self._etc / "ssh/ssh_host_ed25519_key"
            for stale in (key, key.with_suffix(".pub")):
                stale.unlink(missing_ok=True)
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)
            self._reload()

    def _reload(self) -> None:
        """Have sshd read its files again, and wait until it listens anew; sessions go on."""
        init = self._init
        if init is None or (pid := _sshd_of(init.pid)) is None:
            return  # it reads them when it starts
        before = self._listening(init.pid)
        signal_if(pid, signal.SIGHUP, lambda one: _parent_of(one) == init.pid)
        until = time.monotonic() + SSHD_WITHIN_S
        while not self._listening(init.pid) - before:
            if time.monotonic() > until:
                raise MachineError(
                    f"sshd of {self._spec.machine_id} does not listen again within "
                    f"{SSHD_WITHIN_S:.0f} s; see ssh.log of the machine"
                )
            time.sleep(LOOK_EVERY_S)

    def _listening(self, pid: int) -> set[str]:
        """Return the inodes of sockets that listen on port 22, but for the gate's own."""
        ours = {str(os.fstat(listener.fileno()).st_ino) for listener in self._listeners}
        rows = (line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:])
        found = {r[9] for r in rows if r[3] == "0A" and r[1].endswith(f":{SSH_PORT:04X}")}
        return found - ours


def _sshd_of(init: int) -> int | None:
    """Return the sshd that listens: the one whose parent is the machine's first process."""
    children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
    for pid in map(int, children):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "sshd\n":
                return pid
    return None


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on until the end of one direction, and that end too."""
    with contextlib.suppress(OSError):
        while data := source.recv(64 * 1024):
            target.sendall(data)
    _shut(target)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
