"""What happens behind the instance calls: machines boot, stop and go, and disks with them.

Used by the ECS actions and by ACK, whose nodes are instances too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from emulator.ecs.resources import Disk, DiskStatus, Instance, InstanceStatus, Tags
from emulator.machines.base import DiskAttachment, MachineError, MachineSpec, NodeJoin

if TYPE_CHECKING:
    from emulator.account import Image
    from emulator.cloud import Cloud

log = logging.getLogger(__name__)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class DiskOrder:
    size_gib: int
    category: str
    performance_level: str = ""
    snapshot_id: str = ""
    name: str = ""
    delete_with_instance: bool = True
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class InstanceOrder:
    """What one instance is made from, already checked."""

    name: str
    image: Image
    instance_type: str
    security_group_ids: list[str]
    system_disk: DiskOrder
    hostname: str = ""
    description: str = ""
    key_pair_name: str = ""
    data_disks: tuple[DiskOrder, ...] = ()
    tags: Tags = field(default_factory=dict)
    spot_strategy: str = "NoSpot"
    auto_release: datetime | None = None
    user_data: bytes = b""
    pre_user_data: bytes = b""
    node_pool_id: str = ""
    join: Callable[[Instance], NodeJoin] | None = None


def launch(cloud: Cloud, order: InstanceOrder) -> Instance:
    """Order an instance with its disks; it boots in the background.

    :raises MachineError: when no address is free.
    """
    instance_id = cloud.ids.ecs("i")
    instance = Instance(
        instance_id=instance_id,
        name=order.name or instance_id,
        hostname=order.hostname or f"iZ{instance_id.removeprefix('i-')}Z",
        image=order.image,
        instance_type=order.instance_type,
        key_pair_name=order.key_pair_name,
        private_ip=cloud.machines.reserve_ip(instance_id),
        security_group_ids=order.security_group_ids,
        created=cloud.now(),
        tags=dict(order.tags),
        spot_strategy=order.spot_strategy,
        description=order.description,
        auto_release=order.auto_release,
        node_pool_id=order.node_pool_id,
    )
    for number, disk in enumerate((order.system_disk, *order.data_disks)):
        instance.disk_ids.append(add_disk(cloud, instance, disk, number).disk_id)
    cloud.instances[instance_id] = instance
    cloud.spawn(boot(cloud, instance, order))
    if order.auto_release is not None:
        cloud.spawn(release_at(cloud, instance, order.auto_release))
    return instance


def add_disk(cloud: Cloud, instance: Instance, order: DiskOrder, number: int) -> Disk:
    disk = Disk(
        disk_id=cloud.ids.ecs("d"),
        name=order.name,
        type="data" if number else "system",
        category=order.category,
        performance_level=order.performance_level or "PL1",
        size_gib=order.size_gib,
        device=f"/dev/xvd{LETTERS[number]}",
        instance_id=instance.instance_id,
        delete_with_instance=order.delete_with_instance,
        created=cloud.now(),
        tags=dict(instance.tags),
        encrypted=order.encrypted,
        source_snapshot_id=order.snapshot_id,
    )
    cloud.disks[disk.disk_id] = disk
    return disk


async def boot(cloud: Cloud, instance: Instance, order: InstanceOrder) -> None:
    """Make disks and machine and start it; on failure the instance disappears, as it does there."""
    try:
        # Described first: destroying it gives its address back, however far this gets.
        instance.machine = cloud.machines.machine(machine_spec(cloud, instance, order))
        await cloud.clock.sleep(cloud.settings.instance_boot_s)
        for disk in data_disks(cloud, instance):
            await cloud.machines.create_disk(
                disk.disk_id, disk.size_gib, snapshot_id=disk.source_snapshot_id or None
            )
            disk.status = DiskStatus.ATTACHING
        await start(cloud, instance)
    except MachineError as exc:
        instance.failure = str(exc)
        cloud.failed(instance.instance_id, str(exc))
        await release(cloud, instance)


async def start(cloud: Cloud, instance: Instance) -> None:
    """Start the machine of an instance that has one.

    :raises MachineError: as the machine does.
    """
    if instance.machine is None:
        raise MachineError(f"{instance.instance_id} has no machine to start")
    instance.status = InstanceStatus.STARTING
    await instance.machine.start()
    instance.started = cloud.now()
    instance.status = InstanceStatus.RUNNING
    instance.stopped_mode = "Not-applicable"
    for disk_id in instance.disk_ids:
        disk = cloud.disks[disk_id]
        disk.status = DiskStatus.IN_USE
        disk.attached = disk.attached or cloud.now()
    log.info("%s is Running at %s", instance.instance_id, instance.private_ip)


async def restart(cloud: Cloud, instance: Instance) -> None:
    """Start a stopped instance again; it stays Stopped when its machine does not start."""
    await cloud.clock.sleep(cloud.settings.instance_boot_s)
    try:
        await start(cloud, instance)
    except MachineError as exc:
        instance.failure = str(exc)
        instance.status = InstanceStatus.STOPPED
        cloud.failed(instance.instance_id, str(exc))


def machine_spec(cloud: Cloud, instance: Instance, order: InstanceOrder) -> MachineSpec:
    key_pair = cloud.key_pairs.get(instance.key_pair_name)
    return MachineSpec(
        machine_id=instance.instance_id,
        hostname=instance.hostname,
        private_ip=instance.private_ip,
        authorized_keys=(key_pair.public_key,) if key_pair else (),
        disks=tuple(
            DiskAttachment(
                disk_id=disk.disk_id,
                device=disk.device.replace("/dev/xvd", "/dev/vd"),
                serial=disk.serial,
                size_gib=disk.size_gib,
            )
            for disk in data_disks(cloud, instance)
        ),
        user_data=order.user_data,
        pre_user_data=order.pre_user_data,
        node=order.join(instance) if order.join else None,
    )


def data_disks(cloud: Cloud, instance: Instance) -> list[Disk]:
    disks = [cloud.disks[disk_id] for disk_id in instance.disk_ids]
    return [disk for disk in disks if disk.type == "data"]


async def stop(cloud: Cloud, instance: Instance, *, force: bool, mode: str) -> None:
    await cloud.clock.sleep(cloud.settings.instance_stop_s)
    try:
        if instance.machine is not None:
            await instance.machine.stop(force=force)
    except MachineError as exc:
        instance.failure = str(exc)
        cloud.failed(instance.instance_id, str(exc))
        instance.status = InstanceStatus.RUNNING
        return
    instance.status = InstanceStatus.STOPPED
    instance.stopped_mode = mode
    log.info("%s is Stopped", instance.instance_id)


async def release_at(cloud: Cloud, instance: Instance, moment: datetime) -> None:
    """Do what AutoReleaseTime promises, whatever the instance is doing then."""
    await cloud.clock.sleep_until(moment)
    if instance.instance_id in cloud.instances and not instance.is_being_released:
        log.info("%s reached its AutoReleaseTime", instance.instance_id)
        await release(cloud, instance)


async def release(cloud: Cloud, instance: Instance) -> None:
    """Destroy the machine, delete the disks that go with it, and forget the instance."""
    instance.is_being_released = True
    if instance.status is InstanceStatus.RUNNING:
        instance.status = InstanceStatus.STOPPING
    try:
        if instance.machine is not None:
            await instance.machine.destroy()
        for disk_id in instance.disk_ids:
            await give_up_disk(cloud, cloud.disks[disk_id])
    except MachineError as exc:
        instance.failure = str(exc)
        instance.is_being_released = False  # a later call may have more luck
        cloud.failed(instance.instance_id, f"not released: {exc}")
        return
    cloud.instances.pop(instance.instance_id, None)
    for follow in cloud.on_release:
        follow(cloud, instance)
    log.info("%s is released", instance.instance_id)


async def give_up_disk(cloud: Cloud, disk: Disk) -> None:
    """Delete a disk with its instance, or keep it unattached."""
    if disk.type == "data" and not disk.delete_with_instance:
        disk.instance_id = ""
        disk.device = ""
        disk.status = DiskStatus.AVAILABLE
        return
    was_made = disk.status is not DiskStatus.CREATING
    for snapshot in cloud.snapshots.values():
        if snapshot.disk_id == disk.disk_id and snapshot.status(cloud.now()) == "progressing":
            snapshot.has_failed = True  # its source went before it was uploaded
    if disk.type == "data" and was_made:
        await cloud.machines.delete_disk(disk.disk_id)
    cloud.disks.pop(disk.disk_id, None)
