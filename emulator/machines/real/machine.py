"""One real machine: namespaces, a root of its own, loop devices as disks, an init process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from emulator.faults import Faults
from emulator.machines.base import (
    DiskAttachment,
    MachineError,
    MachineSpec,
    RunningScript,
    Script,
)
from emulator.machines.real import cgroups, loops
from emulator.machines.real.commands import environment, last_lines
from emulator.machines.real.disks import DiskStore
from emulator.machines.real.full_disks import FullDisks
from emulator.machines.real.network import Network, Port
from emulator.machines.real.power import cut_off
from emulator.machines.real.processes import Identity, signal_if
from emulator.machines.real.root import GUEST, MachineFolder, Surroundings
from emulator.machines.real.scripts import Scripts
from emulator.machines.real.ssh_gate import SshGate

log = logging.getLogger(__name__)

# An orderly shutdown takes about a second; a virtual machine under emulation takes much longer.
SHUTDOWN_S = 120.0
BOOT_S = 120.0
JOIN_FAILED = "join-failed.log"  # written by guest/cloud_init.sh
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Host:
    """What all machines of one emulator share."""

    prefix: str
    network: Network
    store: DiskStore
    around: Surroundings
    logs: Path
    workers: Executor
    faults: Faults


@dataclass(slots=True)
class Running:
    """What a running machine holds on the host, filled while it boots."""

    disks: list[tuple[DiskAttachment, loops.Loop]] = field(default_factory=list)
    groups: list[Path] = field(default_factory=list)
    port: Port | None = None
    parent: subprocess.Popen[str] | None = None  # waits for the machine's first process
    init: Identity | None = None
    gate: SshGate | None = None
    full: FullDisks | None = None
    scripts: Scripts | None = None


class RealMachine:
    """Boot, stop and remove; calls that overlap wait for each other."""

    def __init__(self, spec: MachineSpec, host: Host) -> None:
        self.spec = spec
        self._host = host
        self._folder = MachineFolder(
            host.store.machine(spec.machine_id), host.logs / spec.machine_id
        )
        self._running: Running | None = None
        self._lock = asyncio.Lock()

    @property
    def failure(self) -> str:
        """What the machine's own cloud-init wrote down when it was not to be a node."""
        try:
            return (self._folder.logs / JOIN_FAILED).read_text(errors="replace").strip()
        except FileNotFoundError:
            return ""

    async def start(self) -> None:
        async with self._lock:
            await self._work(self._start)

    async def run_script(self, script: Script) -> RunningScript:
        async with self._lock:
            if self._running is None or self._running.scripts is None:
                raise MachineError(f"machine {self.spec.machine_id} does not run")
            scripts = self._running.scripts
            await self._work(lambda: scripts.save(script))
            return await scripts.start(script)

    async def stop(self, *, force: bool = False) -> None:
        async with self._lock:
            await self._end_scripts()
            await self._work(self._cut_power if force else self._shut_down)

    async def destroy(self) -> None:
        async with self._lock:
            await self._end_scripts()
            await self._work(self._destroy)

    async def _end_scripts(self) -> None:
        """End what the machine's first process, which is not their parent, would not wait for."""
        if self._running and self._running.scripts:
            await self._running.scripts.end()

    async def _work(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._host.workers, step)

    def _start(self) -> None:
        if self._running:
            raise MachineError(f"machine {self.spec.machine_id} runs already")
        running = Running()
        try:
            self._boot(running)
        except (MachineError, OSError) as error:
            if running.parent:
                running.parent.kill()
            with contextlib.suppress(
                MachineError, subprocess.TimeoutExpired
            ):  # the first failure is the one to report
                self._release(running)
            raise MachineError(f"machine {self.spec.machine_id} did not boot: {error}") from error
        self._running = running

    def _boot(self, running: Running) -> None:
        self._folder.prepare_once(self.spec, self._host.around)
        for disk in self.spec.disks:
            running.disks.append((disk, self._host.store.attach(disk.disk_id)))
        self._folder.describe_boot(running.disks)
        running.groups = cgroups.create(self._host.prefix, self.spec.machine_id)
        running.port = self._host.network.plug(self.spec.machine_id, self.spec.private_ip)
        faults = self._host.faults
        running.gate = SshGate(self.spec, faults, running.port.namespace, self._folder.etc)
        running.gate.open()
        running.parent = self._launch(running.groups, running.port)
        running.init = self._shake_hands(running.parent)
        running.gate.booted(running.init)
        running.scripts = Scripts(running.init, running.groups)
        numbers = {disk.disk_id: f"{loop.major}:{loop.minor}" for disk, loop in running.disks}
        running.full = FullDisks(self.spec, faults, running.init.pid, numbers)
        running.full.open()

    def _launch(self, groups: list[Path], port: Port) -> subprocess.Popen[str]:
        """Start boot.sh in new namespaces. It enters its cgroups first: nsenter does not."""
        join = 'for group in "${@:2:$1}"; do echo $$ >"$group/cgroup.procs"; done'
        command = ["bash", "-ec", f'{join}; shift "$(($1 + 1))"; exec "$@"', "bash"]
        command += [str(len(groups)), *map(str, groups)]
        command += ["nsenter", f"--net=/run/netns/{port.namespace}", "unshare", "--mount", "--uts"]
        command += ["--ipc", "--cgroup", "--pid", "--fork", "--propagation", "private"]
        command += ["--kill-child=SIGKILL", str(GUEST / "boot.sh"), str(self._folder.path)]
        command += [self.spec.hostname, sys.executable, str(cgroups.version())]
        with self._folder.console.open("a") as console:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                text=True,
                env=environment(),
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal is for the emulator alone
            )

    def _shake_hands(self, parent: subprocess.Popen[str]) -> Identity:
        """Put the new process in its place and wait until its root is built."""
        if parent.stdin is None or parent.stdout is None:
            raise MachineError("the boot process has no pipes")
        with parent.stdin as to_boot, parent.stdout as from_boot, ending_after(BOOT_S, parent):
            first = from_boot.readline().split()
            init = Identity.of(int(first[1])) if first[:1] == ["pid"] else None
            if init is None:
                raise MachineError(f"boot.sh did not run; {self._console()}")
            if cgroups.version() != 1:
                cgroups.move_to_launcher(self._host.prefix, parent.pid)
            to_boot.write("go\n")
            to_boot.flush()
            if from_boot.readline().strip() != "started":
                raise MachineError(f"its root was not built; {self._console()}")
        return init

    def _console(self) -> str:
        return f"{self._folder.console} ends with:\n{last_lines(self._folder.console)}"

    def _shut_down(self) -> None:
        running = self._running
        if running is None or running.parent is None or running.init is None:
            return
        signal_if(running.init.pid, signal.SIGTERM, lambda _: _alive(running))
        try:
            code = running.parent.wait(SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            raise MachineError(
                f"machine {self.spec.machine_id} did not shut down within {SHUTDOWN_S:.0f} s; "
                f"stop it by force; {self._console()}"
            ) from None
        self._release(running)
        self._running = None
        if code:
            raise MachineError(
                f"machine {self.spec.machine_id} left its disks in disorder; {self._console()}"
            )

    def _cut_power(self) -> None:
        """End everything at once; the disks keep only what had reached them by then.

        Ending the processes alone would not do: the kernel unmounts in order whatever it finds
        still mounted, so the disks would be better than after a power cut.
        """
        running = self._running
        if running is None or running.parent is None:
            return
        frozen = self._freeze(running)
        if running.init:
            cut_off(running.init.pid, (loop for _, loop in running.disks))
            signal_if(running.init.pid, signal.SIGKILL, lambda _: _alive(running))
        running.parent.wait(SHUTDOWN_S)
        self._release(running)
        for disk_id, copy in frozen:
            copy.rename(self._host.store.disk(disk_id))
        self._running = None

    def _freeze(self, running: Running) -> list[tuple[str, Path]]:
        """Copy the disks as they are; power goes all the same when there is no room for it."""
        try:
            return [(d.disk_id, self._host.store.freeze(d.disk_id)) for d, _ in running.disks]
        except MachineError as error:
            log.warning("%s loses power, its disks do not: %s", self.spec.machine_id, error)
            return []

    def _release(self, running: Running) -> None:
        """Give back what the host lent, also after half a boot, and all of it if a step fails."""
        with contextlib.ExitStack() as undo:  # from the last line to the first
            for group in running.groups:
                undo.callback(cgroups.remove, group)
            for disk, loop in running.disks:
                undo.callback(self._host.store.detach, disk.disk_id, loop)
            if running.port:
                undo.callback(self._host.network.unplug, running.port)
            for group in running.groups:
                undo.callback(cgroups.kill, group)
            if running.parent:
                undo.callback(running.parent.wait, SHUTDOWN_S)
            for watcher in (running.gate, running.full):
                if watcher:
                    undo.callback(watcher.close)

    def _destroy(self) -> None:
        self._cut_power()
        self._folder.remove()
        self._host.network.give_back(self.spec.machine_id)


@contextlib.contextmanager
def ending_after(seconds: float, process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process that is not done in time, so that reading from it ends too."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _alive(running: Running) -> bool:
    return running.init is not None and running.init.is_alive()
