"""The real machines of one account: network, services, disks and machines on this host."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from emulator.clock import Clock
from emulator.content.errors import ContentError
from emulator.content.faulty import PACKAGE_FAULTS, REGISTRY_FAULTS
from emulator.content.faulty_front import FaultyFront
from emulator.content.images import Content, build_content
from emulator.content.login import Login
from emulator.content.packages import PackagesProcess
from emulator.content.registry import RegistryProcess
from emulator.faults import Faults
from emulator.machines.base import Machine, MachineError, MachineSpec
from emulator.machines.real import cgroups, namespaces, preflight, slots
from emulator.machines.real.commands import run
from emulator.machines.real.disks import DiskStore
from emulator.machines.real.machine import Host, RealMachine
from emulator.machines.real.network import Network
from emulator.machines.real.reap import STORE, reap
from emulator.machines.real.root import Surroundings
from emulator.settings import Settings

REGISTRY_PORT, PRIVATE_PORT, PACKAGES_PORT, SSH_PORT = 5000, 5001, 8080, 22

# Generated once a checkout and shared by all emulators: it takes longest of all.
CACHE = Path(__file__).resolve().parents[3] / ".local" / "content"

# Machines start and stop side by side; each waits for tools and the kernel, not for Python.
WORKERS = 16

T = TypeVar("T")


class RealMachines:
    """Real machines; see docs/machines.md. Open it before anything else is asked of it."""

    kind = "real"
    ssh_user = "root"
    ssh_port = SSH_PORT

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        state_dir: Path,
        cache_dir: Path = CACHE,
        faults: Faults | None = None,
    ) -> None:
        self._faults = faults or Faults()
        self._settings = settings
        self._clock = clock  # machines are real: their time is the host's
        self._state_dir = state_dir.resolve()
        self._cache_dir = cache_dir
        self._workers = ThreadPoolExecutor(WORKERS, "machines")
        self.registry_login = Login()
        self._opened: _Opened | None = None
        self._machines: dict[str, RealMachine] = {}

    @property
    def registry(self) -> str:
        return f"{self.gateway_ip}:{REGISTRY_PORT}"

    @property
    def private_registry(self) -> str:
        return f"{self.gateway_ip}:{PRIVATE_PORT}"

    @property
    def packages_url(self) -> str:
        return f"http://{self.gateway_ip}:{PACKAGES_PORT}"

    @property
    def gateway_ip(self) -> str:
        return self._ours.network.gateway

    @property
    def _ours(self) -> _Opened:
        if self._opened is None:
            raise MachineError("the real machines are not open")
        return self._opened

    async def open(self) -> None:
        """Make the network, the store and the services.

        :raises MachineError: naming what the host lacks, with the mend.
        """
        self._opened = await self._work(self._open)

    def _open(self) -> _Opened:
        preflight.check()
        self._state_dir.mkdir(parents=True, exist_ok=True)
        reap(self._state_dir)  # of an emulator that was killed with this state folder
        try:
            content = build_content(self._cache_dir, self._settings.content_scale)
        except ContentError as error:
            raise MachineError(f"the images cannot be made: {error}") from error
        login = self.registry_login
        return _Opened.open(self._state_dir, self._settings, content, self._faults, login)

    async def close(self) -> None:
        """Cut off what still runs and leave nothing behind. Closing twice is no error."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        ends = (machine.destroy() for machine in self._machines.values())
        failures = [end for end in await asyncio.gather(*ends, return_exceptions=True) if end]
        self._machines.clear()
        try:
            await self._work(opened.undo.close)
        finally:
            self._workers.shutdown(wait=False)
        if failures:
            raise failures[0]

    def listen(self, port: int) -> socket.socket:
        return namespaces.listening_socket(self._ours.network.namespace, self.gateway_ip, port)

    def runtime_version(self) -> str:
        said = run("containerd", "--version")
        found = re.search(r"\d+\.\d+\.\d+", said)
        if found is None:
            raise MachineError(f"containerd does not say its version: {said.strip()!r}")
        return found[0]

    def system_images(self) -> tuple[str, ...]:
        return tuple(f"{self.registry}/{image}" for image in self._ours.content.system_images)

    def workload_image(self) -> str:
        return f"{self.registry}/{self._ours.content.workload_image}"

    def private_image(self) -> str:
        return f"{self.private_registry}/{self._ours.content.private_image}"

    def reserve_ip(self, machine_id: str) -> str:
        return self._ours.network.reserve(machine_id)

    def machine(self, spec: MachineSpec) -> Machine:
        ours = self._ours
        registries = (self.registry, self.private_registry)
        around = Surroundings(registries, f"{self.registry}/{ours.content.pause_image}")
        logs = self._state_dir / "machines"
        host = Host(
            ours.slot.prefix, ours.network, ours.store, around, logs, self._workers, self._faults
        )
        machine = RealMachine(spec, host)
        self._machines[spec.machine_id] = machine
        return machine

    async def create_disk(
        self, disk_id: str, size_gib: int, *, snapshot_id: str | None = None
    ) -> None:
        store = self._ours.store
        await self._work(lambda: store.create_disk(disk_id, size_gib, snapshot_id))

    async def delete_disk(self, disk_id: str) -> None:
        store = self._ours.store
        await self._work(lambda: store.delete_disk(disk_id))

    async def create_snapshot(self, snapshot_id: str, disk_id: str) -> int:
        store = self._ours.store
        return await self._work(lambda: store.create_snapshot(snapshot_id, disk_id))

    async def delete_snapshot(self, snapshot_id: str) -> None:
        store = self._ours.store
        await self._work(lambda: store.delete_snapshot(snapshot_id))

    async def _work(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, step)


class _Opened:
    """What is on the host while the machines are open, and how it goes again."""

    def __init__(self, slot: slots.Slot, network: Network, store: DiskStore, content: Content):
        self.slot = slot
        self.network = network
        self.store = store
        self.content = content
        self.undo = ExitStack()

    @classmethod
    def open(
        cls,
        state_dir: Path,
        settings: Settings,
        content: Content,
        faults: Faults,
        login: Login,
    ) -> _Opened:
        slot = slots.claim(state_dir)
        network = Network(slot.prefix, slot.network, settings.link_mb_per_s)
        store = DiskStore(state_dir / STORE, settings.lazy_disk_mb_per_s)
        opened = cls(slot, network, store, content)
        with ExitStack() as undo:
            undo.callback(slot.release)
            undo.callback(_remove_groups, slot.prefix)
            undo.callback(opened.store.close)
            opened.store.open()
            undo.callback(network.close)
            network.open()
            opened._serve(undo, state_dir, faults, login)
            opened.undo = undo.pop_all()
        return opened

    def _serve(self, undo: ExitStack, state_dir: Path, faults: Faults, login: Login) -> None:
        content, gateway, namespace = self.content, self.network.gateway, self.network.namespace
        registry = RegistryProcess(
            content.registry_storage, gateway, REGISTRY_PORT, namespace, state_dir / "registry.log"
        )
        log = state_dir / "private-registry.log"
        private = RegistryProcess(
            content.private_storage, gateway, PRIVATE_PORT, namespace, log, login=login
        )
        packages = PackagesProcess(
            content.packages_root, gateway, PACKAGES_PORT, namespace, state_dir / "packages.log"
        )
        fronts = (
            (registry, REGISTRY_FAULTS),
            (private, REGISTRY_FAULTS),
            (packages, PACKAGE_FAULTS),
        )
        try:
            for service, kinds in fronts:
                undo.callback(service.stop)
                service.start()
                front = FaultyFront(service, faults, kinds, self._listen)
                undo.callback(front.close)
                front.open()
        except ContentError as error:
            raise MachineError(str(error)) from error

    def _listen(self, port: int) -> socket.socket:
        return namespaces.listening_socket(self.network.namespace, self.network.gateway, port)


def _remove_groups(prefix: str) -> None:
    for group in cgroups.existing(prefix):
        cgroups.remove(group)
