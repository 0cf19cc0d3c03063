"""Lazy disks on paper: what a snapshot brought takes time the first time that it is used.

A model: an image costs its size, the kubelet package the size of its programs, each divided by
``lazy_disk_mb_per_s``; one after the other, as they come through one disk. Real machines read
block by block and only what they need: docs/lazy-disks.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from emulator.content.catalogue import PACKAGE_BINARIES_MIB, PACKAGE_CNI_MIB
from emulator.machines.paper_tools.images import TABLE
from emulator.machines.paper_tools.machine import PaperDisk

if TYPE_CHECKING:
    from emulator.machines.paper_join import Joining
    from emulator.settings import Settings

KUBELET_PACKAGE = "ack/kubernetes"
MEGABYTE, MIB = 10**6, 2**20


def restored(disk: PaperDisk, settings: Settings) -> None:
    """Note on a disk from a snapshot what is still to be read, in bytes by image id."""
    unread: dict[str, int] = {}
    if settings.lazy_disk_mb_per_s:
        for table in disk.files.glob(f"*/{TABLE}"):
            images = json.loads(table.read_text())
            unread |= {image_id: int(facts["size"]) for image_id, facts in images.items()}
        if (disk.files / KUBELET_PACKAGE).exists():
            mib = sum(PACKAGE_BINARIES_MIB.values()) + sum(PACKAGE_CNI_MIB.values())
            unread[KUBELET_PACKAGE] = int(mib * MIB * settings.content_scale)
    disk.update(unread=unread)


async def first_read(joining: Joining, what: str) -> None:
    """Wait until a thing was read from the runtime disk; at once when it was, or was written."""
    devices = [disk.device for disk in joining.spec.disks]
    if not devices or not joining.settings.lazy_disk_mb_per_s:
        return
    disk = joining.root.disk(max(devices))
    async with joining.reading:
        size = disk.facts().get("unread", {}).get(what)
        if size is None:
            return
        await joining.clock.sleep(size / (joining.settings.lazy_disk_mb_per_s * MEGABYTE))
        disk.update(unread={k: v for k, v in disk.facts()["unread"].items() if k != what})
