"""DescribeDisks and DeleteDisk.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describedisks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.ecs.actions import PAGES, TAGS, action, tags_body
from emulator.ecs.disk_orders import CATEGORIES
from emulator.ecs.reading import has_tags, id_list, page, to_second, wanted_ids
from emulator.ecs.releasing import fail_snapshots
from emulator.ecs.resources import Disk, DiskStatus
from emulator.errors import conflict, not_found
from emulator.machines.base import MachineError
from emulator.params import ANY, REQUIRED, Params, Rule

if TYPE_CHECKING:
    from emulator.cloud import Cloud


@action(
    "DescribeDisks",
    {
        **TAGS,
        **PAGES,
        "MaxResults": Rule(low=1, high=500),
        "RegionId": REQUIRED,
        "InstanceId": ANY,
        "DiskIds": Rule(check=id_list),
        "DiskType": Rule(one_of=("all", "system", "data")),
        "Status": Rule(one_of=(*DiskStatus, "ReIniting", "All")),
        "Category": Rule(one_of=(*CATEGORIES, "all")),
        "SnapshotId": ANY,
        "DiskName": ANY,
        "ZoneId": ANY,
    },
)
def describe_disks(cloud: Cloud, params: Params) -> dict[str, Any]:
    wanted = wanted_ids(params, "DiskIds")
    shown = [
        disk
        for disk in cloud.disks.shown().values()
        if (wanted is None or disk.disk_id in wanted)
        and matches(cloud, disk, params)
        and has_tags(disk.tags, params)
    ]
    return page(
        params,
        shown,
        lambda disk: disk.disk_id,
        least=10,
        body=lambda page: {"Disks": {"Disk": [body(cloud, each) for each in page]}},
    )


def matches(cloud: Cloud, disk: Disk, params: Params) -> bool:
    have = {
        "InstanceId": disk.instance_id,
        "DiskType": disk.type,
        "Status": disk.status,
        "Category": disk.category,
        "SnapshotId": disk.source_snapshot_id,
        "DiskName": disk.name,
        "ZoneId": cloud.account.zone_id,
    }
    wanted = {name: params.get(name, value) for name, value in have.items()}
    for name, every in {"DiskType": "all", "Status": "All", "Category": "all"}.items():
        if wanted[name] == every:
            wanted[name] = have[name]
    return wanted == have


def body(cloud: Cloud, disk: Disk) -> dict[str, Any]:
    return {
        "DiskId": disk.disk_id,
        "DiskName": disk.name,
        "Description": disk.description,
        "SerialNumber": disk.serial,
        "Device": disk.device,
        "Status": disk.status,
        "Type": disk.type,
        "Category": disk.category,
        "PerformanceLevel": disk.performance_level,
        "Size": disk.size_gib,
        "InstanceId": disk.instance_id,
        "SourceSnapshotId": disk.source_snapshot_id,
        "DeleteWithInstance": disk.delete_with_instance,
        "DiskChargeType": "PostPaid",
        "CreationTime": to_second(disk.created),
        "AttachedTime": to_second(disk.attached),
        "Encrypted": disk.encrypted,
        "KMSKeyId": "",
        "Portable": disk.type == "data",
        "RegionId": cloud.account.region_id,
        "ZoneId": cloud.account.zone_id,
        "Tags": tags_body(disk.tags),
    }


@action("DeleteDisk", {"DiskId": REQUIRED})
def delete_disk(cloud: Cloud, params: Params) -> dict[str, Any]:
    disk = cloud.disks.find(params["DiskId"])
    if disk is None:
        raise not_found("InvalidDiskId.NotFound", "DiskId", params["DiskId"])
    if disk.status is not DiskStatus.AVAILABLE:
        raise conflict("IncorrectDiskStatus", f"The disk {disk.disk_id} is {disk.status}.")
    del cloud.disks[disk.disk_id]
    fail_snapshots(cloud, disk)
    cloud.spawn(forget(cloud, disk))
    return {}


async def forget(cloud: Cloud, disk: Disk) -> None:
    try:
        await cloud.machines.delete_disk(disk.disk_id)
    except MachineError as exc:
        cloud.failed(disk.disk_id, f"not deleted: {exc}")
