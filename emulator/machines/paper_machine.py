"""One paper machine: a folder as root directory, an SSH listener, and a simulated join."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.faults import DiskFull
from emulator.kube.paper_kubelet import run_paper_kubelet
from emulator.machines import paper_processes
from emulator.machines.base import MachineError, MachineSpec, NodeJoin, RunningScript, Script
from emulator.machines.paper_join import Joining, cancelled
from emulator.machines.paper_shell import Shell
from emulator.machines.paper_ssh import SshServer
from emulator.machines.paper_tools import space
from emulator.machines.paper_tools.machine import PaperRoot, write_json

if TYPE_CHECKING:
    from emulator.clock import Clock
    from emulator.faults import Faults
    from emulator.kube.store import KubeStore
    from emulator.machines.paper_content import Answer
    from emulator.settings import Settings

log = logging.getLogger(__name__)

CATALOGUE = "catalog.json"
FOLDERS = (
    *("etc", "dev/disk/by-id", "mnt", "root", "tmp", "run", "usr/bin", "usr/local/bin"),
    *("var/lib/containerd", "var/log"),
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What all machines of one account stand on."""

    folder: Path
    tools: Path
    settings: Settings
    clock: Clock
    kube: KubeStore
    runtime_version: str
    ssh_port: int
    registry: Callable[[], str]  # known once the content is served
    private_registry: Callable[[], str]  # the same, of the one that wants a login
    faults: Faults
    content: Callable[[str, int], Answer]
    package_manager: str = "yum"  # as Alibaba Cloud Linux; apt for the scripts' own tests

    @property
    def catalogue(self) -> Path:
        return self.folder / CATALOGUE

    def disk(self, disk_id: str) -> Path:
        return self.folder / "disks" / disk_id


class PaperMachine:
    """Implements ``Machine``. What is on its disks outlives it; its own folder does not."""

    def __init__(
        self, spec: MachineSpec, ground: Ground, *, gone: Callable[[str], None] = lambda _: None
    ) -> None:
        self.spec = spec
        self._gone = gone
        self._ground = ground
        self.root = PaperRoot(ground.folder / "machines" / spec.machine_id / "root")
        disks = tuple(ground.disk(disk.disk_id) for disk in spec.disks)
        self.shell = Shell(self.root.path, ground.tools, (self.root.folder, *disks))
        self.ssh = SshServer(self.shell, spec.authorized_keys, ground.faults, spec.names)
        self._joining: asyncio.Task[None] | None = None
        self._filling = threading.Lock()  # faults are armed on any thread
        self._is_up = False
        self._is_full = False
        self.failure = ""
        """Why a node never joined; what `/var/log/cloud-init-output.log` would tell."""

    async def start(self) -> None:
        self._lay_out()
        self._is_up = True
        self._ground.faults.watch(self._fill_disks)  # first: none is missed in between
        self._fill_disks()
        await self.ssh.open(self.spec.private_ip, self._ground.ssh_port)
        if self.spec.node is not None:
            self._joining = asyncio.create_task(self._join(self.spec.node))
            self._joining.add_done_callback(_tell)

    async def stop(self, *, force: bool = False) -> None:
        """Both kinds look the same on paper: processes end, disks are unmounted."""
        await self._end()
        if self.root.path.exists():
            self.root.unmount_all()
            for name in ("run", "tmp"):
                shutil.rmtree(self.root.path / name, ignore_errors=True)

    async def destroy(self) -> None:
        await self._end()
        self.root.forget_mounts()
        await asyncio.to_thread(shutil.rmtree, self.root.folder, ignore_errors=True)
        self._gone(self.spec.machine_id)

    async def run_script(self, script: Script) -> RunningScript:
        if not self._is_up:
            raise MachineError(f"machine {self.spec.machine_id} does not run")
        return await self.shell.run_script(script)

    async def _end(self) -> None:
        """End all that runs on the machine. Looking for processes is slow: not where none were."""
        await cancelled(self._joining)
        self._joining = None
        self._ground.faults.unwatch(self._fill_disks)
        with self._filling:  # one that runs has its folder until it is done
            self._is_up = False
        await self.ssh.close()
        if self.shell.is_used and self.root.path.exists():
            await asyncio.to_thread(paper_processes.end_all, self.root.path, self.shell.sessions)
            await self.ssh.finished()
            await self.shell.scripts_ended()

    def _fill_disks(self) -> None:
        """Tell the tools which data disks are full, at the start and whenever faults change."""
        with self._filling:
            if not self._is_up:  # ended meanwhile: its folder may be gone
                return
            full = {}
            for disk in self.spec.disks:
                fault = self._ground.faults.holds(DiskFull, disk.disk_id, *self.spec.names)
                if fault is not None:
                    full[disk.disk_id] = fault.free_mib
            if full or self._is_full:
                space.describe(self.root, full)
            self._is_full = bool(full)

    def _lay_out(self) -> None:
        root = self.root.path
        for name in FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "etc/hostname").write_text(f"{self.spec.hostname}\n")
        (root / "etc/os-release").write_text('ID="alinux"\nVERSION_ID="3"\n')
        (root / "dev/vda1").touch()
        disks = {}
        for disk in self.spec.disks:
            folder = self._ground.disk(disk.disk_id)
            if not folder.is_dir():
                raise MachineError(f"{self.spec.machine_id}: disk {disk.disk_id} does not exist")
            device = root / disk.device.lstrip("/")
            device.write_text(f"paper disk {disk.disk_id}\n")
            link = root / "dev/disk/by-id" / f"virtio-{disk.serial}"
            if not link.is_symlink():
                link.symlink_to(f"../../{device.name}")
            disks[disk.device] = {"folder": str(folder), "size_gib": disk.size_gib}
        write_json(
            self.root.folder / "machine.json",
            {
                "disks": disks,
                "containerd": self._ground.runtime_version,
                "containerd_offered": self._ground.runtime_version,
                "catalogue": str(self._ground.catalogue),
                "registry": self._ground.registry(),
                "private_registry": self._ground.private_registry(),
                "tools": str(self._ground.tools),
            },
        )
        for tool in (self._ground.tools / self._ground.package_manager).iterdir():
            link = root / "usr/bin" / tool.name
            if not link.is_symlink():
                link.symlink_to(tool)

    async def _join(self, node: NodeJoin) -> None:
        ground = self._ground
        joining = Joining(
            self.spec,
            self.root,
            self.shell,
            ground.tools,
            ground.settings,
            ground.clock,
            ground.faults,
            ground.content,
        )
        try:
            pulled = await joining.until_registration(node)
        except MachineError as exc:
            self.failure = str(exc)
            log.warning("Node %s does not join: %s", node.node_name, exc)
            return
        await asyncio.gather(
            run_paper_kubelet(ground.kube, ground.clock, self.spec, pulled, joining),
            joining.after_joining(),
        )


def _tell(joining: asyncio.Task[None]) -> None:
    """Log what ended a node that nobody stopped."""
    if not joining.cancelled() and (exc := joining.exception()):
        log.error("A paper node went down", exc_info=exc)
