"""Paper machines: folders instead of virtual machines, for any platform and without root.

Real: SSH with keys, bash, the remote scripts, files and their hashes, HTTP downloads from loopback.
On paper: disks and mounts (folders and links), containerd and its images, packages, time.
See ``docs/paper.md``.
"""

from __future__ import annotations

import asyncio
import compileall
import resource
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.content.login import Login
from emulator.faults import Faults
from emulator.guest import crictl_table
from emulator.machines import paper_content, paper_lazy
from emulator.machines.base import MachineError, MachineSpec
from emulator.machines.paper_machine import CATALOGUE, Ground, PaperMachine
from emulator.machines.paper_network import SSH_PORT, PaperNetwork, listening
from emulator.machines.paper_shell import WRAPPED, host_tools
from emulator.machines.paper_tools import main as tools_main
from emulator.machines.paper_tools.images import BLOBS
from emulator.machines.paper_tools.machine import PaperDisk

if TYPE_CHECKING:
    from emulator.clock import Clock
    from emulator.kube.store import KubeStore
    from emulator.settings import Settings

RUNTIME_VERSION = "1.6.20"
OPEN_FILES = 8192  # macOS allows 10240 at most
TOOLS = Path(tools_main.__file__).parent


class PaperMachines:
    """Implements ``Machines`` in one folder, ``STATE/paper``, that a new emulator empties.

    :param kube: the store of the cluster that nodes join.
    """

    kind = "paper"
    ssh_user = "root"
    ssh_port = SSH_PORT

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        kube: KubeStore,
        state_dir: Path,
        faults: Faults | None = None,
    ) -> None:
        self._faults = faults or Faults()
        self._folder = Path(state_dir).resolve() / "paper"
        content = paper_content.ContentServer(self._folder / CATALOGUE, self._faults)
        self._ground = Ground(
            folder=self._folder,
            tools=self._folder / "tools",
            settings=settings,
            clock=clock,
            kube=kube,
            runtime_version=RUNTIME_VERSION,
            ssh_port=SSH_PORT,
            registry=lambda: self.registry,
            private_registry=lambda: self.private_registry,
            faults=self._faults,
            content=content.answer,
        )
        self._content = content
        self.registry_login = Login()
        self._private = paper_content.ContentServer(
            self._folder / CATALOGUE, self._faults, self.registry_login
        )
        self._machines: dict[str, PaperMachine] = {}
        self._network = PaperNetwork()
        self.gateway_ip = ""
        self.registry = ""
        self.private_registry = ""
        self.packages_url = ""

    async def open(self) -> None:
        """Claim a network of this host, lay out the tools, serve images and packages."""
        if self._folder.exists():
            await asyncio.to_thread(shutil.rmtree, self._folder)
        for name in ("disks", "snapshots", "machines"):
            (self._folder / name).mkdir(parents=True)
        write_tools(self._ground.tools)
        allow_open_files()
        self._network.open()
        self.gateway_ip = self._network.gateway_ip
        self.registry = self._content.open()
        self.private_registry = self._private.open()
        self.packages_url = f"http://{self.registry}"
        scale = self._ground.settings.content_scale
        paper_content.write_catalogue(
            self._ground.catalogue, self.registry, self.private_registry, scale
        )

    async def close(self) -> None:
        for machine in list(self._machines.values()):
            await machine.stop(force=True)
        self._machines.clear()
        servers = (self._content, self._private)
        await asyncio.gather(*(asyncio.to_thread(server.close) for server in servers))
        self._network.close()

    def listen(self, port: int) -> socket.socket:
        return listening(self.gateway_ip, port)

    def runtime_version(self) -> str:
        return RUNTIME_VERSION

    def system_images(self) -> tuple[str, ...]:
        return paper_content.system_images(self.registry)

    def workload_image(self) -> str:
        return paper_content.workload_image(self.registry)

    def private_image(self) -> str:
        return paper_content.private_image(self.private_registry)

    # -- machines

    def reserve_ip(self, machine_id: str) -> str:
        return self._network.reserve(machine_id)

    def machine(self, spec: MachineSpec) -> PaperMachine:
        machine = PaperMachine(spec, self._ground, gone=self._forget)
        self._machines[spec.machine_id] = machine
        return machine

    def _forget(self, machine_id: str) -> None:
        self._machines.pop(machine_id, None)
        self._network.give_back(machine_id)

    # -- disks and snapshots

    async def create_disk(
        self, disk_id: str, size_gib: int, *, snapshot_id: str | None = None
    ) -> None:
        folder = self._ground.disk(disk_id)
        if folder.exists():
            raise MachineError(f"disk {disk_id} exists already")
        if snapshot_id is None:
            PaperDisk.create(folder, size_gib)
            return
        await asyncio.to_thread(shutil.copytree, self._snapshot(snapshot_id), folder, symlinks=True)
        PaperDisk(folder).update(size_gib=size_gib)
        paper_lazy.restored(PaperDisk(folder), self._ground.settings)

    async def delete_disk(self, disk_id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._disk(disk_id))

    async def create_snapshot(self, snapshot_id: str, disk_id: str) -> int:
        """Copy the disk as it is now.

        A disk that is still mounted loses what was not yet written, as real ones do: the
        content files of its images become empty, while the image table lists them all.
        """
        target = self._folder / "snapshots" / snapshot_id
        await asyncio.to_thread(shutil.copytree, self._disk(disk_id), target, symlinks=True)
        if self._is_mounted(disk_id):
            for blob in target.glob(f"files/*/{BLOBS}/*"):
                blob.write_bytes(b"")
        return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())

    async def delete_snapshot(self, snapshot_id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._snapshot(snapshot_id))

    def _is_mounted(self, disk_id: str) -> bool:
        return any(
            mount["disk"] == disk_id
            for machine in self._machines.values()
            if machine.root.path.exists()
            for mount in machine.root.mounts()
        )

    def _disk(self, disk_id: str) -> Path:
        return _existing(self._ground.disk(disk_id), f"disk {disk_id}")

    def _snapshot(self, snapshot_id: str) -> Path:
        return _existing(self._folder / "snapshots" / snapshot_id, f"snapshot {snapshot_id}")


def _existing(folder: Path, what: str) -> Path:
    if not folder.is_dir():
        raise MachineError(f"{what} does not exist")
    return folder


def allow_open_files() -> None:
    """Ask the system for as many open files as it gives: each machine listens on a port."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def write_tools(folder: Path) -> None:
    """Write the programs of all machines: stand-ins, wrapped ones, and links to harmless ones."""
    # Tools cannot cache their own bytecode: a machine's programs write nothing outside of it.
    compileall.compile_dir(TOOLS, quiet=2)
    compileall.compile_file(crictl_table.__file__, quiet=2)
    groups = {"bin": tools_main.BASE, "runtime": tools_main.RUNTIME, **tools_main.PACKAGES}
    for group, tools in groups.items():
        (folder / group).mkdir(parents=True)
        for name in tools:
            _write_program(
                folder / group / name, sys.executable, "-I", "-S", TOOLS / "main.py", name
            )
    for name, path in host_tools().items():
        (folder / "bin" / name).symlink_to(path)
    bash = shutil.which("bash") or "/bin/bash"
    for name in WRAPPED:
        if host_path := shutil.which(name):
            _write_program(folder / "bin" / name, bash, TOOLS / "wrap.sh", host_path)


def _write_program(path: Path, *command: str | Path) -> None:
    words = shlex.join(str(word) for word in command)
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)
