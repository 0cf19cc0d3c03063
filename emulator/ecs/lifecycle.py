"""What happens behind the instance calls: machines boot and stop, and disks with them.

Used by the ECS actions and by ACK, whose nodes are instances too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from emulator.ecs import invocations
from emulator.ecs.releasing import is_leaving, release, release_at
from emulator.ecs.resources import ESSD, Disk, DiskStatus, Instance, InstanceStatus, Tags
from emulator.machines.base import DiskAttachment, MachineError, MachineSpec, NodeJoin
from emulator.stuck import let_go

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
    description: str = ""


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
    source = cloud.snapshots.get(order.snapshot_id)
    disk = Disk(
        disk_id=cloud.ids.ecs("d"),
        name=order.name,
        type="data" if number else "system",
        category=order.category,
        performance_level=order.performance_level or ("PL1" if order.category == ESSD else ""),
        size_gib=order.size_gib,
        device=f"/dev/xvd{LETTERS[number]}",
        instance_id=instance.instance_id,
        delete_with_instance=order.delete_with_instance,
        created=cloud.now(),
        tags=dict(instance.tags),
        encrypted=order.encrypted or (source is not None and source.encrypted),
        description=order.description,
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
        await let_go(cloud, "instance", instance.status, instance.instance_id, instance.name)
        for disk in data_disks(cloud, instance):
            await make_disk(cloud, instance, disk)
        await start(cloud, instance)
    except MachineError as exc:
        instance.failure = str(exc)
        cloud.failed(instance.instance_id, str(exc))
        await release(cloud, instance)


async def make_disk(cloud: Cloud, instance: Instance, disk: Disk) -> None:
    async with instance.busy:
        if is_leaving(cloud, instance):
            return
        await cloud.machines.create_disk(
            disk.disk_id, disk.size_gib, snapshot_id=disk.source_snapshot_id or None
        )
        disk.is_made = True
        disk.settled.set()
    await let_go(cloud, "disk", disk.status, disk.disk_id, disk.name)
    disk.status = DiskStatus.ATTACHING
    await let_go(cloud, "disk", disk.status, disk.disk_id, disk.name)


async def start(cloud: Cloud, instance: Instance) -> None:
    """Start the machine of an instance that has one.

    :raises MachineError: as the machine does.
    """
    if instance.machine is None:
        raise MachineError(f"{instance.instance_id} has no machine to start")
    if is_leaving(cloud, instance):
        return
    instance.status = InstanceStatus.STARTING
    await let_go(cloud, "instance", instance.status, instance.instance_id, instance.name)
    async with instance.busy:
        if is_leaving(cloud, instance):
            return
        await instance.machine.start()
        instance.started = cloud.now()
        instance.is_silent = False
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
        name=instance.name,
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
    await let_go(cloud, "instance", instance.status, instance.instance_id, instance.name)
    async with instance.busy:
        if is_leaving(cloud, instance):
            return
        invocations.take_away(cloud, instance, "ExecutionInterrupted")
        try:
            if instance.machine is not None:
                await instance.machine.stop(force=force)
        except MachineError as exc:
            instance.failure = str(exc)
            cloud.failed(instance.instance_id, str(exc))
            instance.status = InstanceStatus.RUNNING
            instance.is_silent = False
            return
        instance.status = InstanceStatus.STOPPED
        instance.stopped_mode = mode
    log.info("%s is Stopped", instance.instance_id)
