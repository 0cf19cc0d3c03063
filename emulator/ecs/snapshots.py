"""CreateSnapshot, DescribeSnapshots, DeleteSnapshot.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-createsnapshot
Refused as not emulated: ``InstantAccess``, ``InstantAccessRetentionDays``, ``StorageLocationArn``,
snapshots of system disks.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from emulator.ecs.actions import (
    CLIENT_TOKEN,
    DESCRIPTION,
    PAGES,
    TAGS,
    action,
    tags_body,
    tags_of,
)
from emulator.ecs.reading import has_tags, id_list, page, to_second, wanted_ids
from emulator.ecs.resources import Disk, DiskStatus, InstanceStatus, Snapshot, SnapshotStatus
from emulator.errors import (
    BAD_REQUEST,
    FORBIDDEN,
    NOT_FOUND,
    ApiError,
    conflict,
    not_found,
    unsupported,
)
from emulator.faults import SnapshotFailed
from emulator.machines.base import MachineError
from emulator.params import ANY, REQUIRED, Params, Rule
from emulator.stuck import let_go

if TYPE_CHECKING:
    from emulator.cloud import Cloud

log = logging.getLogger(__name__)
MAX_PER_DISK = 256


@action(
    "CreateSnapshot",
    {
        **TAGS,
        "DiskId": REQUIRED,
        "SnapshotName": Rule(
            pattern=r"(?!auto|https?://)[^\W\d_][\w:.\-]{1,127}",
            code="InvalidSnapshotName.Malformed",
        ),
        "Description": replace(DESCRIPTION, status=NOT_FOUND),
        "RetentionDays": Rule(low=1, high=65536, code="InvalidRetentionDays.Malformed"),
        "Category": Rule(
            one_of=("Standard",),
            not_here=("Flash",),
            code="InvalidSnapshotCategory.Malformed",
            status=FORBIDDEN,
        ),
        "ClientToken": CLIENT_TOKEN,
    },
)
def create_snapshot(cloud: Cloud, params: Params) -> dict[str, Any]:
    disk = cloud.disks.find(params["DiskId"])
    if disk is None:
        raise not_found("InvalidDiskId.NotFound", "DiskId", params["DiskId"])
    check_disk(cloud, disk)
    snapshot_id, name = cloud.ids.ecs("s"), params.get("SnapshotName", "")
    fault = cloud.faults.strike(SnapshotFailed, snapshot_id, name, disk.disk_id)
    snapshot = Snapshot(
        snapshot_id=snapshot_id,
        name=name,
        description=params.get("Description", ""),
        disk_id=disk.disk_id,
        disk_size_gib=disk.size_gib,
        disk_type=disk.type,
        disk_category=disk.category,
        created=cloud.now(),
        upload=timedelta(seconds=cloud.settings.snapshot_upload_s),
        tags=tags_of(params),
        encrypted=disk.encrypted,
        retention_days=params.get("RetentionDays", 0),
        fails_at_percent=fault.at_percent if fault else None,
    )
    cloud.snapshots[snapshot.snapshot_id] = snapshot
    cloud.spawn(take(cloud, snapshot))
    if snapshot.retention_days:
        cloud.spawn(expire(cloud, snapshot))
    return {"SnapshotId": snapshot.snapshot_id}


def check_disk(cloud: Cloud, disk: Disk) -> None:
    """Refuse a disk that is in no state for a snapshot, with the code that the API has for it."""
    if disk.type == "system":
        raise unsupported(f"a snapshot of the system disk {disk.disk_id}")
    if disk.attached is None:
        raise conflict(
            "IncorrectDiskStatus.NeverAttached",
            f"The disk {disk.disk_id} has never been attached to an instance.",
        )
    if disk.status not in (DiskStatus.IN_USE, DiskStatus.AVAILABLE):
        raise conflict("IncorrectDiskStatus", f"The disk {disk.disk_id} is {disk.status}.")
    instance = cloud.instances.get(disk.instance_id)
    allowed = (InstanceStatus.RUNNING, InstanceStatus.STOPPED)
    if instance and (instance.status not in allowed or instance.is_being_released):
        raise ApiError(
            BAD_REQUEST,
            "IncorrectInstanceStatus",
            f"The current status of the resource does not support this operation: "
            f"{instance.instance_id} is {instance.status}.",
        )
    statuses = [each.status for each in cloud.snapshots.values() if each.disk_id == disk.disk_id]
    if SnapshotStatus.PROGRESSING in statuses:
        raise conflict(
            "IncorrectDiskStatus.CreatingSnapshot",
            f"A snapshot of the disk {disk.disk_id} is being created.",
        )
    if len(statuses) >= MAX_PER_DISK:
        raise conflict("QuotaExceed.Snapshot", f"The disk {disk.disk_id} has {MAX_PER_DISK}.")


async def take(cloud: Cloud, snapshot: Snapshot) -> None:
    """Keep the disk as it is now; what follows, the upload, is only a matter of time."""
    try:
        size = await cloud.machines.create_snapshot(snapshot.snapshot_id, snapshot.disk_id)
    except MachineError as exc:
        snapshot.end(cloud.now(), SnapshotStatus.FAILED)
        cloud.failed(snapshot.snapshot_id, str(exc))
        return
    snapshot.is_stored = True
    snapshot.allocated_bytes = size
    snapshot.cloned_at = cloud.now()
    await upload(cloud, snapshot, snapshot.cloned_at)
    if snapshot.status is SnapshotStatus.FAILED or snapshot.snapshot_id not in cloud.snapshots:
        await forget(cloud, snapshot)


async def upload(cloud: Cloud, snapshot: Snapshot, began: datetime) -> None:
    """Let the time of an upload pass, and end it, unless that was done meanwhile."""
    percent, ending = snapshot.fails_at_percent, SnapshotStatus.FAILED
    if percent is None:
        percent, ending = 100, SnapshotStatus.ACCOMPLISHED
    await cloud.clock.sleep_until(began + snapshot.upload * (percent / 100))
    await let_go(
        cloud, "snapshot", snapshot.status, snapshot.snapshot_id, snapshot.name, snapshot.disk_id
    )
    if snapshot.ended is None:
        snapshot.end(cloud.now(), ending)
        log.info("%s is %s", snapshot.snapshot_id, snapshot.status)


async def expire(cloud: Cloud, snapshot: Snapshot) -> None:
    await cloud.clock.sleep_until(snapshot.created + timedelta(days=snapshot.retention_days))
    if cloud.snapshots.pop(snapshot.snapshot_id, None) is not None:
        log.info("%s reached its RetentionDays", snapshot.snapshot_id)
        await forget(cloud, snapshot)


async def forget(cloud: Cloud, snapshot: Snapshot) -> None:
    """Delete what is stored of a snapshot, once no disk is to be made of it any more."""
    if not snapshot.is_stored:
        return
    snapshot.is_stored = False
    for disk in [*cloud.disks.values()]:
        if disk.source_snapshot_id == snapshot.snapshot_id:
            await disk.settled.wait()  # what was ordered while it was there is still made of it
    try:
        await cloud.machines.delete_snapshot(snapshot.snapshot_id)
    except MachineError as exc:
        cloud.failed(snapshot.snapshot_id, f"not deleted: {exc}")


@action(
    "DescribeSnapshots",
    {
        **TAGS,
        **PAGES,
        "RegionId": REQUIRED,
        "SnapshotIds": Rule(check=id_list),
        "DiskId": ANY,
        "SnapshotName": ANY,
        "Status": Rule(one_of=(*SnapshotStatus, "all")),
        "SnapshotType": Rule(one_of=("auto", "user", "all")),
        "SourceDiskType": Rule(one_of=("system", "data")),
        "Usage": Rule(one_of=("none", "disk", "image", "image_disk")),
    },
)
def describe_snapshots(cloud: Cloud, params: Params) -> dict[str, Any]:
    wanted = wanted_ids(params, "SnapshotIds")
    shown = [
        snapshot
        for snapshot in cloud.snapshots.shown().values()
        if (wanted is None or snapshot.snapshot_id in wanted)
        and matches(cloud, snapshot, params)
        and has_tags(snapshot.tags, params)
    ]
    return page(
        params,
        shown,
        lambda snapshot: snapshot.snapshot_id,
        lambda page: {"Snapshots": {"Snapshot": [body(cloud, each) for each in page]}},
    )


def matches(cloud: Cloud, snapshot: Snapshot, params: Params) -> bool:
    have = {
        "DiskId": snapshot.disk_id,
        "SnapshotName": snapshot.name,
        "Status": snapshot.status,
        "SnapshotType": "user",
        "SourceDiskType": snapshot.disk_type,
        "Usage": usage(cloud, snapshot),
    }
    wanted = {name: params.get(name, value) for name, value in have.items()}
    for name in ("Status", "SnapshotType"):
        if wanted[name] == "all":
            wanted[name] = have[name]
    return wanted == have


def usage(cloud: Cloud, snapshot: Snapshot) -> str:
    disks = cloud.disks.values()
    is_used = any(disk.source_snapshot_id == snapshot.snapshot_id for disk in disks)
    return "disk" if is_used else "none"


def remaining_s(snapshot: Snapshot, now: datetime) -> int:
    """Return the seconds that are left; while one is stuck, the last of them is."""
    if snapshot.ended is not None:
        return 0
    began = snapshot.cloned_at or now
    return max(1, math.ceil((began + snapshot.upload - now).total_seconds()))


def body(cloud: Cloud, snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as DescribeSnapshots shows it."""
    percent = snapshot.percent(cloud.now())
    shown = {
        "SnapshotId": snapshot.snapshot_id,
        "SnapshotName": snapshot.name,
        "Description": snapshot.description,
        "Status": snapshot.status,
        "Progress": f"{percent}%",
        "RemainTime": remaining_s(snapshot, cloud.now()),
        "Available": snapshot.is_available,
        "Usage": usage(cloud, snapshot),
        "InstantAccess": False,
        "Category": "standard",
        "SnapshotType": "user",
        "CreationTime": to_second(snapshot.created),
        "LastModifiedTime": to_second(snapshot.ended or snapshot.created),
        "SourceDiskId": snapshot.disk_id,
        "SourceDiskSize": str(snapshot.disk_size_gib),
        "SourceDiskType": snapshot.disk_type,
        "SnapshotLinkId": f"sl-{snapshot.disk_id.removeprefix('d-')}",
        "Encrypted": snapshot.encrypted,
        "RegionId": cloud.account.region_id,
        "Tags": tags_body(snapshot.tags),
    }
    if snapshot.retention_days:
        shown["RetentionDays"] = snapshot.retention_days
    return shown


@action("DeleteSnapshot", {"SnapshotId": REQUIRED, "Force": ANY})
def delete_snapshot(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Delete one; a snapshot in progress is cancelled. A node pool's reference protects none."""
    snapshot = cloud.snapshots.find(params["SnapshotId"])
    if snapshot is None:
        raise not_found("InvalidSnapshotId.NotFound", "SnapshotId", params["SnapshotId"])
    if usage(cloud, snapshot) == "disk" and not params.get("Force"):
        raise conflict(
            "SnapshotCreatedDisk",
            f"The snapshot {snapshot.snapshot_id} has been used to create disks.",
        )
    del cloud.snapshots[snapshot.snapshot_id]
    cloud.spawn(forget(cloud, snapshot))
    return {}
