"""Reading what RunInstances orders: the rules of its parameters and the checks among them.

Refused as not emulated, among others: Password, public bandwidth, launch templates, IPv6,
network interfaces, subscription (``PrePaid``), ``DataDisk.N.Device``.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from emulator.account import INSTANCE_TYPES, Image
from emulator.ecs.actions import TAGS, tags_of
from emulator.ecs.lifecycle import DiskOrder, InstanceOrder
from emulator.ecs.resources import SnapshotStatus
from emulator.errors import FORBIDDEN, NOT_FOUND, conflict, invalid, missing, not_found, unsupported
from emulator.params import ANY, REQUIRED, Params, Rule, Rules

if TYPE_CHECKING:
    from emulator.cloud import Cloud

MAX_USER_DATA = 32 * 1024
MIN_GIB, MAX_GIB = 20, 2048  # of a system disk
MIN_RELEASE = timedelta(minutes=30)
CATEGORIES = ("cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_ssd", "cloud_efficiency")
LEVELS = ("PL0", "PL1", "PL2", "PL3")
DISK_NAME = r"(?!https?://)[A-Za-z\u4e00-\u9fff][\w\-.:\u4e00-\u9fff]{1,127}"
LEVEL = Rule(one_of=LEVELS, code="InvalidPerformanceLevel.Malformed")
CATEGORY = Rule(one_of=CATEGORIES, code="InvalidDiskCategory.ValueNotSupported")


def size_text(text: str) -> str | None:
    """Check SystemDisk.Size, which the SDK sends as text."""
    if not text.isascii() or not text.isdecimal():
        return f"{text!r} is not a number"
    problem = f"{text} GiB is not within {MIN_GIB} to {MAX_GIB}"
    return None if MIN_GIB <= int(text) <= MAX_GIB else problem


def encryption(text: str) -> str | None:
    return None if text.lower() in ("true", "false") else f"{text!r} is neither true nor false"


def base64_text(text: str) -> str | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return "it is not base64"
    return None if len(raw) <= MAX_USER_DATA else f"{len(raw)} bytes are more than {MAX_USER_DATA}"


DISK_RULES: Rules = {
    "DataDisk": Rule(high=16),
    "DataDisk.Category": CATEGORY,
    "DataDisk.Size": Rule(low=1, high=65536, code="InvalidDataDiskSize.ValueNotSupported"),
    "DataDisk.SnapshotId": ANY,
    "DataDisk.DeleteWithInstance": ANY,
    "DataDisk.DiskName": Rule(pattern=DISK_NAME, code="InvalidDiskName.Malformed"),
    "DataDisk.Description": Rule(high=256),
    "DataDisk.PerformanceLevel": LEVEL,
    "DataDisk.Encrypted": Rule(check=encryption),
    "SystemDisk.Category": CATEGORY,
    "SystemDisk.Size": Rule(check=size_text, code="InvalidSystemDiskSize"),
    "SystemDisk.DiskName": Rule(pattern=DISK_NAME, code="InvalidDiskName.Malformed"),
    "SystemDisk.PerformanceLevel": LEVEL,
}
ORDER_RULES: Rules = {
    **TAGS,
    **DISK_RULES,
    "RegionId": REQUIRED,
    "ZoneId": ANY,
    "ImageId": ANY,
    "ImageFamily": ANY,
    "InstanceType": REQUIRED,
    "InstanceName": Rule(low=2, high=128, code="InvalidInstanceName.Malformed"),
    "HostName": Rule(
        pattern=r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])", code="InvalidHostName.Malformed"
    ),
    "Description": Rule(low=2, high=256),
    "VSwitchId": ANY,
    "SecurityGroupId": ANY,
    "SecurityGroupIds": Rule(high=16),
    "KeyPairName": ANY,
    "ClientToken": Rule(pattern=r"[\x21-\x7e]{1,64}", code="InvalidClientToken.ValueNotSupported"),
    "DryRun": ANY,
    "Amount": Rule(low=1, high=100),
    "MinAmount": Rule(low=1, high=100),
    "AutoReleaseTime": ANY,
    "InstanceChargeType": Rule(
        one_of=("PostPaid",),
        not_here=("PrePaid",),
        code="InvalidInstanceChargeType.ValueNotSupported",
    ),
    "SpotStrategy": Rule(one_of=("NoSpot", "SpotAsPriceGo", "SpotWithPriceLimit")),
    "SpotPriceLimit": Rule(low=0),
    "SpotDuration": Rule(one_of=(0, 1)),
    "InternetMaxBandwidthOut": Rule(low=0, high=100),
    "UserData": Rule(
        check=base64_text, code="InvalidUserData.Base64FormatInvalid", status=FORBIDDEN
    ),
    "HttpEndpoint": Rule(
        one_of=("enabled",), not_here=("disabled",), code="InvalidHttpEndpoint.NotSupported"
    ),
    "HttpTokens": Rule(one_of=("optional", "required"), code="InvalidHttpTokens.NotSupported"),
    "UniqueSuffix": Rule(one_of=(False,), not_here=(True,)),
}


def orders(cloud: Cloud, params: Params) -> list[InstanceOrder]:
    """Return one order for each instance, after every check across parameters.

    :raises ApiError: as RunInstances would refuse it.
    """
    if params.get("InternetMaxBandwidthOut", 0) > 0:
        raise unsupported("a public address (InternetMaxBandwidthOut above 0)")
    groups = security_groups(cloud, params)
    image = ordered_image(cloud, params)
    amount = params.get("Amount", 1)
    if params.get("MinAmount", 1) > amount:
        raise invalid("MinAmount", f"{params['MinAmount']} is more than Amount {amount}")
    ordered = InstanceOrder(
        name=params.get("InstanceName", ""),
        hostname=params.get("HostName", ""),
        description=params.get("Description", ""),
        image=image,
        instance_type=ordered_type(params["InstanceType"]),
        security_group_ids=groups,
        key_pair_name=ordered_key_pair(cloud, params),
        system_disk=system_disk(image, params.get("SystemDisk", {})),
        data_disks=tuple(data_disk(cloud, disk) for disk in params.get("DataDisk", [])),
        tags=tags_of(params),
        spot_strategy=params.get("SpotStrategy", "NoSpot"),
        auto_release=release_time(cloud, params.get("AutoReleaseTime", "")),
        user_data=base64.b64decode(params.get("UserData", "")),
    )
    return [ordered] * amount


def security_groups(cloud: Cloud, params: Params) -> list[str]:
    single, several = params.get("SecurityGroupId"), params.get("SecurityGroupIds")
    if single and several:
        raise invalid("SecurityGroupIds", "it cannot be given with SecurityGroupId")
    groups: list[str] = several or ([single] if single else [])
    if not groups:
        raise missing("SecurityGroupId")
    for group in groups:
        if group != cloud.account.security_group_id:
            raise not_found("InvalidSecurityGroupId.NotFound", "SecurityGroupId", group)
    vswitch = params.get("VSwitchId")
    if not vswitch:
        raise missing("VSwitchId")
    if vswitch != cloud.account.vswitch_id:
        raise conflict(
            "InvalidVSwitchId.NotFound",
            f"The VSwitchId {vswitch} provided does not exist in our records.",
        )
    zone = params.get("ZoneId", cloud.account.zone_id)
    if zone != cloud.account.zone_id:
        raise not_found("InvalidZoneId.NotFound", "ZoneId", zone)
    return groups


def ordered_image(cloud: Cloud, params: Params) -> Image:
    if params.get("ImageId") and params.get("ImageFamily"):
        raise invalid(
            "ImageFamily",
            "it must be empty when ImageId is set",
            code="UnexpectedImageFamily.ImageIdSupplied",
        )
    if image_id := params.get("ImageId"):
        image = cloud.account.image(image_id)
        if image is None:
            raise not_found("InvalidImageId.NotFound", "ImageId", image_id)
        return image
    if not (family := params.get("ImageFamily")):
        raise missing("ImageId")
    newest = cloud.account.newest_of(family)
    if newest is None:
        raise not_found("InvalidImageFamily.NotFound", "ImageFamily", family)
    return newest


def ordered_type(instance_type: str) -> str:
    if instance_type not in INSTANCE_TYPES:
        known = ", ".join(INSTANCE_TYPES)
        raise invalid(
            "InstanceType",
            f"{instance_type} is not sold here; known: {known}",
            code="InvalidInstanceType.ValueNotSupported",
        )
    return instance_type


def ordered_key_pair(cloud: Cloud, params: Params) -> str:
    name: str = params.get("KeyPairName", "")
    if name and name not in cloud.key_pairs:
        raise not_found("InvalidKeyPairName.NotFound", "KeyPairName", name)
    return name


def system_disk(image: Image, disk: dict[str, Any]) -> DiskOrder:
    size = int(disk.get("Size", 40))
    if size < image.size_gib:
        raise invalid(
            "SystemDisk.Size",
            f"{size} GiB is less than the {image.size_gib} GiB of the image",
            code="InvalidSystemDiskSize.LessThanImageSize",
            status=NOT_FOUND,
        )
    return DiskOrder(
        size_gib=size,
        category=disk.get("Category", "cloud_essd"),
        performance_level=disk.get("PerformanceLevel", ""),
        name=disk.get("DiskName", ""),
    )


def data_disk(cloud: Cloud, disk: dict[str, Any]) -> DiskOrder:
    snapshot_id = disk.get("SnapshotId", "")
    size = disk.get("Size", 0)
    if snapshot_id:
        size = size_from_snapshot(cloud, snapshot_id, size)
    elif not size:
        raise missing("DataDisk.Size")
    return DiskOrder(
        size_gib=size,
        category=disk.get("Category", "cloud_essd"),
        performance_level=disk.get("PerformanceLevel", ""),
        snapshot_id=snapshot_id,
        name=disk.get("DiskName", ""),
        delete_with_instance=disk.get("DeleteWithInstance", True),
        encrypted=disk.get("Encrypted", "false").lower() == "true",
    )


def size_from_snapshot(cloud: Cloud, snapshot_id: str, size_gib: int) -> int:
    """Return the size of a disk from a snapshot: the snapshot's own, whatever is asked.

    The API's page says in one place that Size is ignored and in another that it must not be
    smaller: a smaller one is refused here, so that clients send what suits both.
    """
    snapshot = cloud.snapshots.get(snapshot_id)
    if snapshot is None:
        raise not_found("InvalidDataDiskSnapshotId.NotFound", "DataDisk.SnapshotId", snapshot_id)
    status = snapshot.status(cloud.now())
    if snapshot.cloned_at is None or status is SnapshotStatus.FAILED:
        raise conflict("InvalidSnapshotId.NotReady", f"The snapshot {snapshot_id} is {status}.")
    if size_gib and size_gib < snapshot.disk_size_gib:
        raise conflict(
            "InvalidDiskSize.TooSmall",
            f"{size_gib} GiB is less than the {snapshot.disk_size_gib} GiB of {snapshot_id}.",
        )
    return snapshot.disk_size_gib


def release_time(cloud: Cloud, text: str) -> datetime | None:
    """Return the moment, rounded down to the minute as ECS does."""
    if not text:
        return None
    code = "InvalidAutoReleaseTime.Malformed"
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise invalid(
            "AutoReleaseTime", f"{text!r} is no yyyy-MM-ddTHH:mm:ssZ", code=code
        ) from None
    moment = moment.replace(second=0)
    if moment < (cloud.now() + MIN_RELEASE).replace(second=0, microsecond=0):
        raise invalid("AutoReleaseTime", "it is not 30 minutes from now", code=code)
    return moment
