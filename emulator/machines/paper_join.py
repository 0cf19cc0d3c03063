"""How a paper machine becomes a node: the steps of ACK's own script, in its order.

What is on the disk decides what is done, as on a real machine; how long each step takes is
simulated, by the settings ``paper_kubelet_package_s`` and ``paper_image_s``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.machines.base import MachineError, MachineSpec, NodeJoin
from emulator.machines.paper_tools.images import ImageStore, look_up
from emulator.machines.paper_tools.machine import PaperRoot
from emulator.machines.paper_tools.system import install_containerd

if TYPE_CHECKING:
    from emulator.clock import Clock
    from emulator.machines.paper_ssh import Shell
    from emulator.settings import Settings

RUNTIME_MOUNT = "/var/lib/container"
KUBELET_PACKAGE = "ack/kubernetes"


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

    async def until_registration(self, node: NodeJoin) -> list[PulledImage]:
        """Do what comes before kubelet registers; return what was done for each system image.

        :raises MachineError: when a step fails; the node then never appears, as on ACK.
        """
        await self._run("pre_user_data", self.spec.pre_user_data)
        self._mount_runtime_disk()
        if not (self.root.inside(RUNTIME_MOUNT) / KUBELET_PACKAGE).exists():
            await self.clock.sleep(self.settings.paper_kubelet_package_s)
        install_containerd(self.root, self.tools)
        self.root.set_active("containerd", True)
        pulled = [await self._image(reference) for reference in node.system_images]
        await self.clock.sleep(node.kubelet_registration_s)
        return pulled

    async def after_joining(self) -> None:
        await self._run("user_data", self.spec.user_data)

    def image(self, reference: str) -> PulledImage | None:
        """Return an image that is on the machine."""
        found = ImageStore.of(self.root).find(reference)
        return PulledImage(reference, int(found[1]["size"]), None) if found else None

    async def pull(self, reference: str) -> PulledImage:
        """Pull an image, in simulated time.

        :raises MachineError: for an image that the registry does not know.
        """
        catalogued = look_up(Path(self.root.facts()["catalogue"]), reference)
        if catalogued is None:
            raise MachineError(f"{reference}: not found in the registry")
        await self.clock.sleep(self.settings.paper_image_s)
        ImageStore.of(self.root).add(reference, catalogued)
        return PulledImage(reference, int(catalogued["size"]), self.settings.paper_image_s)

    async def _image(self, reference: str) -> PulledImage:
        return self.image(reference) or await self.pull(reference)

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
