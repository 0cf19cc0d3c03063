"""How a paper machine becomes a node: the steps of ACK's own script, in its order.

What is on the disk decides what is done, as on a real machine; how long each step takes is
simulated, by the settings ``paper_kubelet_package_s`` and ``paper_image_s``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.content.catalogue import KUBELET_PACKAGE as PACKAGE
from emulator.content.faulty import REGISTRY_FAULTS
from emulator.machines.base import MachineError, MachineSpec, NodeJoin
from emulator.machines.paper_lazy import KUBELET_PACKAGE, first_read
from emulator.machines.paper_tools import registry, space
from emulator.machines.paper_tools.images import ImageStore, Name, look_up
from emulator.machines.paper_tools.machine import PaperRoot
from emulator.machines.paper_tools.system import install_containerd

if TYPE_CHECKING:
    from emulator.clock import Clock
    from emulator.faults import Faults
    from emulator.machines.paper_content import Answer
    from emulator.machines.paper_shell import Shell
    from emulator.settings import Settings

PULL_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 0.0)  # see emulator/guest/agent_images.py
CURL_PAUSES_S = (1.0, 2.0, 4.0, 0.0)
RUNTIME_MOUNT = "/var/lib/container"


@dataclass(frozen=True, slots=True)
class PulledImage:
    """What one system image cost while the node was initialised."""

    reference: str
    size_bytes: int
    seconds: float | None  # nothing for an image that was there


@dataclass(frozen=True, slots=True)
class Joining:
    """One machine on its way to being a node."""

    spec: MachineSpec
    root: PaperRoot
    shell: Shell
    tools: Path
    settings: Settings
    clock: Clock
    faults: Faults
    content: Callable[[str, int], Answer]
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)  # first reads go one by one

    async def until_registration(self, node: NodeJoin) -> list[PulledImage]:
        """Do what comes before kubelet registers; return what was done for each system image.

        :raises MachineError: when a step fails; the node then never appears, as on ACK.
        """
        await self._run("pre_user_data", self.spec.pre_user_data)
        self._mount_runtime_disk()
        if not (self.root.inside(RUNTIME_MOUNT) / KUBELET_PACKAGE).exists():
            await self._download_package()
        await first_read(self, KUBELET_PACKAGE)
        install_containerd(self.root, self.tools)
        self.root.set_active("containerd", True)
        pulled = [await self._system_image(reference) for reference in node.system_images]
        await self.clock.sleep(node.kubelet_registration_s)
        return pulled

    async def after_joining(self) -> None:
        await self._run("user_data", self.spec.user_data)

    def image(self, reference: str) -> PulledImage | None:
        """Return an image that is on the machine."""
        found = ImageStore.of(self.root).find(reference)
        return PulledImage(reference, int(found[1]["size"]), None) if found else None

    async def first_read(self, reference: str) -> None:
        """Wait until an image that is on the machine was read from its disk, which may be lazy."""
        if found := ImageStore.of(self.root).find(reference):
            await first_read(self, found[0])

    async def pull(self, reference: str) -> PulledImage:
        """Pull an image, in simulated time.

        :raises MachineError: for an image that cannot be had.
        """
        catalogued = look_up(Path(self.root.facts()["catalogue"]), reference)
        if catalogued is None:
            raise MachineError(f"{reference}: not found in the registry")
        await self.clock.sleep(self.settings.paper_image_s)
        store = ImageStore.of(self.root)
        self._ask_registry(store, Name.parse(reference), catalogued)
        store.add(reference, catalogued)
        return PulledImage(reference, int(catalogued["size"]), self.settings.paper_image_s)

    def _ask_registry(self, store: ImageStore, name: Name, catalogued: dict[str, Any]) -> None:
        """Fetch an image where a fault may stand in the way; else nothing is fetched here.

        :raises MachineError: in containerd's words.
        """
        host, _, repository = name.repository.partition("/")
        try:
            if host == self.root.facts()["private_registry"]:
                fetch = registry.over_http(host)  # a node has no login
                registry.fetch_image(fetch, host, name.canonical, catalogued, store.has)
            elif self.faults.may_strike(REGISTRY_FAULTS, repository):
                registry.fetch_image(self._fetch, host, name.canonical, catalogued, store.has)
            registry.refuse_what_does_not_fit(catalogued, space.room_at(self.root, store.folder))
        except registry.PullError as exc:
            unpacking = f'failed to pull and unpack image "{name.canonical}"'
            raise MachineError(f"{unpacking}: {exc}") from None

    def _fetch(self, path: str, start: int) -> registry.Reply:
        answer = self.content(path, start)
        return registry.Reply(answer.status, answer.body[: answer.end], answer.end is None)

    async def _download_package(self) -> None:
        """Download as ``curl --retry 3``, which tries again for 5xx only.

        :raises MachineError: as ACK's script says it.
        """
        await self.clock.sleep(self.settings.paper_kubelet_package_s)
        for pause_s in CURL_PAUSES_S:
            status = self.content(f"/{PACKAGE}", 0).status
            if status < HTTPStatus.INTERNAL_SERVER_ERROR:
                break
            await self.clock.sleep(pause_s)
        if status >= HTTPStatus.BAD_REQUEST:
            raise MachineError(
                f"{self.spec.machine_id}: cannot download {PACKAGE.rpartition('/')[2]}: curl: (22) "
                f"The requested URL returned error: {status}"
            )

    async def _system_image(self, reference: str) -> PulledImage:
        """Have an image, with the tries and pauses of the real node agent."""
        if (present := self.image(reference)) is not None:
            await self.first_read(reference)
            return present
        for pause_s in PULL_PAUSES_S:
            try:
                return await self.pull(reference)
            except MachineError as exc:
                problem = exc
            await self.clock.sleep(pause_s)
        raise problem

    def _mount_runtime_disk(self) -> None:
        """Mount the last data disk, formatted only when it has no file system."""
        root = self.root
        if self.spec.disks:
            device = max(disk.device for disk in self.spec.disks)
            disk = root.disk(device)
            if not disk.facts()["filesystem"]:
                root.format(device, uuid="")
            target = root.inside(RUNTIME_MOUNT)
            target.mkdir(parents=True, exist_ok=True)
            root.mount(root.inside(device), target, files=disk.files, disk=disk.folder.name)
        for name in ("containerd", "kubelet"):
            source = root.inside(f"{RUNTIME_MOUNT}/{name}")
            source.mkdir(parents=True, exist_ok=True)
            target = root.inside(f"/var/lib/{name}")
            target.mkdir(parents=True, exist_ok=True)
            on = self.spec.disks[-1].disk_id if self.spec.disks else ""
            root.mount(source, target, files=source, disk=on)

    async def _run(self, what: str, script: bytes) -> None:
        """Run custom data with bash; its output goes where cloud-init would log it."""
        if not script:
            return
        process = await self.shell.run("exec bash -s")
        output, errors = await process.communicate(script)
        log = self.root.inside("/var/log/cloud-init-output.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.write(output + errors)
        if process.returncode and what == "pre_user_data":
            raise MachineError(
                f"{self.spec.machine_id}: {what} ended with {process.returncode}: "
                f"{errors.decode(errors='replace').strip()[-200:]}"
            )


async def cancelled(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has ended."""
    if task is None:
        return
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
