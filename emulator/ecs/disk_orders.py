"""Reading the disks that RunInstances orders; what a node pool orders keeps to the same limits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from emulator.ecs.actions import DESCRIPTION
from emulator.ecs.lifecycle import DiskOrder
from emulator.errors import BAD_REQUEST, NOT_FOUND, conflict, invalid, missing, not_found
from emulator.params import ANY, Rule, Rules

if TYPE_CHECKING:
    from emulator.account import Image
    from emulator.cloud import Cloud

MAX_SYSTEM_GIB = 2048
CATEGORIES = ("cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_ssd", "cloud_efficiency")
LEVELS = ("PL0", "PL1", "PL2", "PL3")
# Sizes in GiB, as the SDK's page of DataDisk.N.Size gives them.
LEAST_OF_LEVEL = {"PL0": 1, "PL1": 20, "PL2": 461, "PL3": 1261}
LEAST_OF_CATEGORY = {"cloud_auto": 1, "cloud_essd_entry": 10}  # the others: 20
MOST_OF_CATEGORY = {"cloud_essd": 65536, "cloud_auto": 65536}  # the others: 32768
DISK_NAME = r"(?!https?://)[A-Za-z\u4e00-\u9fff][\w\-.:\u4e00-\u9fff]{1,127}"
LEVEL = Rule(one_of=LEVELS, code="InvalidPerformanceLevel.Malformed")
CATEGORY = Rule(one_of=CATEGORIES, code="InvalidDiskCategory.ValueNotSupported")


def size_text(text: str) -> str | None:
    """Check SystemDisk.Size, which the SDK sends as text."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        return f"{text!r} is not a number of GiB"
    problem = f"{text} GiB is not within 1 to {MAX_SYSTEM_GIB}"
    return None if 1 <= int(text) <= MAX_SYSTEM_GIB else problem


def encryption(text: str) -> str | None:
    return None if text.lower() in ("true", "false") else f"{text!r} is neither true nor false"


DISK_RULES: Rules = {
    "DataDisk": Rule(high=16),
    "DataDisk.Category": CATEGORY,
    "DataDisk.Size": Rule(low=1, high=65536, code="InvalidDataDiskSize.ValueNotSupported"),
    "DataDisk.SnapshotId": ANY,
    "DataDisk.DeleteWithInstance": ANY,
    "DataDisk.DiskName": Rule(pattern=DISK_NAME, code="InvalidDiskName.Malformed"),
    "DataDisk.Description": replace(DESCRIPTION, code="InvalidDiskDescription.Malformed"),
    "DataDisk.PerformanceLevel": LEVEL,
    "DataDisk.Encrypted": Rule(check=encryption),
    "SystemDisk.Category": CATEGORY,
    "SystemDisk.Size": Rule(check=size_text, code="InvalidSystemDiskSize", status=NOT_FOUND),
    "SystemDisk.DiskName": Rule(pattern=DISK_NAME, code="InvalidDiskName.Malformed"),
    "SystemDisk.PerformanceLevel": LEVEL,
}


def check_kind(name: str, category: str, level: str, size_gib: int, code: str) -> None:
    """Check a disk's category, performance level and size against each other.

    :param name: of the disk among the parameters, such as ``DataDisk.1``.
    :param code: the API's own for a bad size.
    :raises ApiError: as the order would be refused.
    """
    if category == "cloud_essd_entry":
        # The API: with the families ecs.u1 and ecs.e only, and neither is sold here.
        raise invalid(
            f"{name}.Category",
            "cloud_essd_entry goes with ecs.u1 and ecs.e only",
            code="InvalidDiskCategory.ValueNotSupported",
        )
    if level and category != "cloud_essd":  # no source for the code: the API ignores or refuses it
        raise invalid(
            f"{name}.PerformanceLevel",
            f"only cloud_essd has one, not {category}",
            code="InvalidPerformanceLevel.Malformed",
        )
    least = LEAST_OF_CATEGORY.get(category, LEAST_OF_LEVEL[level or "PL1"])
    most = MOST_OF_CATEGORY.get(category, 32768)
    if not least <= size_gib <= most:
        kind = f"{category} {level}".rstrip()
        raise invalid(
            f"{name}.Size",
            f"{size_gib} GiB is not within {least} to {most} of {kind}",
            code=code,
            status=NOT_FOUND if code == "InvalidSystemDiskSize" else BAD_REQUEST,
        )


def system_disk(image: Image, disk: dict[str, Any]) -> DiskOrder:
    size = int(disk.get("Size", 40))
    category, level = disk.get("Category", "cloud_essd"), disk.get("PerformanceLevel", "")
    check_kind("SystemDisk", category, level, size, "InvalidSystemDiskSize")
    if size < image.size_gib:
        raise invalid(
            "SystemDisk.Size",
            f"{size} GiB is less than the {image.size_gib} GiB of the image",
            code="InvalidSystemDiskSize.LessThanImageSize",
            status=NOT_FOUND,
        )
    return DiskOrder(
        size_gib=size,
        category=category,
        performance_level=level,
        name=disk.get("DiskName", ""),
    )


def data_disk(cloud: Cloud, disk: dict[str, Any], name: str) -> DiskOrder:
    snapshot_id = disk.get("SnapshotId", "")
    size = disk.get("Size", 0)
    encrypted = disk.get("Encrypted", "").lower()
    if snapshot_id:
        size = size_from_snapshot(cloud, snapshot_id, size)
        if cloud.snapshots[snapshot_id].encrypted and encrypted == "false":
            raise invalid(f"{name}.Encrypted", f"a disk from {snapshot_id} is encrypted as it is")
    elif not size:
        raise missing(f"{name}.Size")
    category, level = disk.get("Category", "cloud_essd"), disk.get("PerformanceLevel", "")
    check_kind(name, category, level, size, "InvalidDataDiskSize.ValueNotSupported")
    return DiskOrder(
        size_gib=size,
        category=category,
        performance_level=level,
        snapshot_id=snapshot_id,
        name=disk.get("DiskName", ""),
        delete_with_instance=disk.get("DeleteWithInstance", True),
        encrypted=encrypted == "true",
        description=disk.get("Description", ""),
    )


def size_from_snapshot(cloud: Cloud, snapshot_id: str, size_gib: int) -> int:
    """Return the size of a disk from a snapshot: the snapshot's own, whatever is asked.

    The API's page says in one place that Size is ignored and in another that it must not be
    smaller: a smaller one is refused here, so that clients send what suits both.
    """
    snapshot = cloud.snapshots.find(snapshot_id)
    if snapshot is None:
        raise not_found("InvalidDataDiskSnapshotId.NotFound", "DataDisk.SnapshotId", snapshot_id)
    if not snapshot.is_available:
        raise conflict(
            "InvalidSnapshotId.NotReady", f"The snapshot {snapshot_id} is {snapshot.status}."
        )
    if size_gib and size_gib < snapshot.disk_size_gib:
        raise conflict(
            "InvalidDiskSize.TooSmall",
            f"{size_gib} GiB is less than the {snapshot.disk_size_gib} GiB of {snapshot_id}.",
        )
    return snapshot.disk_size_gib
