"""How instances go, and their disks with them or without."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from emulator.ecs import invocations
from emulator.ecs.resources import (
    Disk,
    DiskStatus,
    Instance,
    InstanceStatus,
    SnapshotStatus,
)
from emulator.machines.base import MachineError
from emulator.stuck import let_go

if TYPE_CHECKING:
    from emulator.cloud import Cloud

log = logging.getLogger(__name__)


def is_leaving(cloud: Cloud, instance: Instance) -> bool:
    """Tell whether an instance is going or gone: whatever was meant for it is off."""
    return instance.is_being_released or instance.instance_id not in cloud.instances


async def release_at(cloud: Cloud, instance: Instance, moment: datetime) -> None:
    """Do what AutoReleaseTime promises, whatever the instance is doing then."""
    await cloud.clock.sleep_until(moment)
    if not is_leaving(cloud, instance):
        log.info("%s reached its AutoReleaseTime", instance.instance_id)
        await release(cloud, instance)


async def release(cloud: Cloud, instance: Instance) -> None:
    """Destroy the machine, delete the disks that go with it, and forget the instance."""
    instance.is_being_released = True
    if instance.status is InstanceStatus.RUNNING:
        instance.status = InstanceStatus.STOPPING
    if instance.status is not InstanceStatus.STOPPED:
        await let_go(cloud, "instance", instance.status, instance.instance_id, instance.name)
    try:
        async with instance.busy:
            await release_now(cloud, instance)
    except MachineError as exc:
        instance.failure = str(exc)
        instance.is_being_released = False  # a later call may have more luck
        instance.status = InstanceStatus.STOPPED
        for disk_id in instance.disk_ids:
            if (disk := cloud.disks.get(disk_id)) and disk.status is DiskStatus.DETACHING:
                disk.status = DiskStatus.IN_USE
        cloud.failed(instance.instance_id, f"not released: {exc}")
        return
    cloud.instances.pop(instance.instance_id)
    for follow in cloud.on_release:
        follow(cloud, instance)
    log.info("%s is released", instance.instance_id)


async def release_now(cloud: Cloud, instance: Instance) -> None:
    """Take away what is behind an instance.

    :raises MachineError: when some of it stays.
    """
    disks = [cloud.disks[each] for each in instance.disk_ids if each in cloud.disks]
    for disk in disks:
        if is_kept(disk):
            disk.status = DiskStatus.DETACHING
    invocations.take_away(cloud, instance, "InstanceReleased")
    if instance.machine is not None:
        await instance.machine.destroy()
    for disk in disks:
        await give_up_disk(cloud, disk)


def is_kept(disk: Disk) -> bool:
    """Tell whether a disk outlives its instance; one that was never attached does not."""
    return disk.type == "data" and not disk.delete_with_instance and disk.attached is not None


async def give_up_disk(cloud: Cloud, disk: Disk) -> None:
    """Delete a disk with its instance, or keep it unattached."""
    if is_kept(disk):
        await let_go(cloud, "disk", disk.status, disk.disk_id, disk.name)
        disk.instance_id = ""
        disk.device = ""
        disk.status = DiskStatus.AVAILABLE
        return
    fail_snapshots(cloud, disk)
    if disk.is_made:
        await cloud.machines.delete_disk(disk.disk_id)
    cloud.disks.pop(disk.disk_id)
    disk.settled.set()


def fail_snapshots(cloud: Cloud, disk: Disk) -> None:
    """Fail what was being taken of a disk that goes: its source went before it was uploaded."""
    for snapshot in cloud.snapshots.values():
        if snapshot.disk_id == disk.disk_id and snapshot.status is SnapshotStatus.PROGRESSING:
            snapshot.end(cloud.now(), SnapshotStatus.FAILED)
