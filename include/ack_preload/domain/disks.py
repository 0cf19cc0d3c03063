"""The build instance, its disks and its snapshots, as ECS describes them.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-runinstances
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ack_preload.domain.errors import InvalidInputError

SMALLEST_DISK_GIB = 40
"""ACK's own lower bound for a data disk of a node pool, so of a snapshot for one."""
LARGEST_DISK_GIB = 32768
LEVELLED = "cloud_essd"
"""The only disk category that has a performance level."""


def tags_from_api(body: Mapping[str, Any]) -> dict[str, str]:
    """Read ``Tags.Tag[]``, as ECS writes tags in answers."""
    listed = (body.get("Tags") or {}).get("Tag") or []
    return {tag["TagKey"]: tag.get("TagValue") or "" for tag in listed}


def moment_from_api(body: Mapping[str, Any]) -> datetime | None:
    """Read ``CreationTime``, ISO 8601 in UTC; ``None`` when the answer has none."""
    text = body.get("CreationTime")
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True, slots=True)
class Instance:
    """An ECS instance. ``status`` is ECS' own word, such as ``Running``."""

    instance_id: str
    status: str
    private_ip: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    auto_release_time: str | None = None
    created: datetime | None = None  # ECS tells whole minutes

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> Instance:
        network = body.get("VpcAttributes") or {}
        addresses = (network.get("PrivateIpAddress") or {}).get("IpAddress") or []
        return cls(
            instance_id=body["InstanceId"],
            status=body["Status"],
            private_ip=addresses[0] if addresses else None,
            tags=tags_from_api(body),
            auto_release_time=body.get("AutoReleaseTime") or None,
            created=moment_from_api(body),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what a task passes on."""
        return {"instance_id": self.instance_id, "private_ip": self.private_ip}


@dataclass(frozen=True, slots=True)
class Disk:
    """An ECS disk. Its serial is what a machine knows it by, whatever device it became."""

    disk_id: str
    status: str
    serial: str
    size_gib: int
    instance_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> Disk:
        return cls(
            disk_id=body["DiskId"],
            status=body["Status"],
            serial=body.get("SerialNumber") or "",
            size_gib=int(body["Size"]),
            instance_id=body.get("InstanceId") or None,
            tags=tags_from_api(body),
            created=moment_from_api(body),
        )


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ECS key pair: what the account knows of it."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> KeyPair:
        return cls(
            name=body["KeyPairName"], tags=tags_from_api(body), created=moment_from_api(body)
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An ECS snapshot. ``status`` is ``progressing``, ``accomplished`` or ``failed``."""

    snapshot_id: str
    status: str
    percent: int
    name: str = ""
    created: str = ""  # ISO 8601, UTC, as ECS writes it
    source_disk_id: str = ""
    source_disk_gib: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> Snapshot:
        return cls(
            snapshot_id=body["SnapshotId"],
            status=body["Status"],
            percent=int(str(body.get("Progress") or "0").rstrip("%")),
            name=body.get("SnapshotName") or "",
            created=body.get("CreationTime") or "",
            source_disk_id=body.get("SourceDiskId") or "",
            source_disk_gib=int(body.get("SourceDiskSize") or 0),
            tags=tags_from_api(body),
        )


def required(section: str, values: Mapping[str, Any], name: str) -> Any:
    """Return a field of a target.

    :raises InvalidInputError: naming the field, when it is missing or empty.
    """
    value = values.get(name)
    if value in (None, "", [], ()):
        raise InvalidInputError(f"{section}.{name} is missing; add it to the target")
    return value


def disk_size(name: str, value: Any) -> int:
    """Return a size in GiB that both ECS and ACK take.

    :raises InvalidInputError: naming the field and the bounds.
    """
    try:
        size = int(value)
    except (TypeError, ValueError):
        size = 0
    if not SMALLEST_DISK_GIB <= size <= LARGEST_DISK_GIB:
        bounds = f"{SMALLEST_DISK_GIB} to {LARGEST_DISK_GIB}"
        raise InvalidInputError(f"{name} is {value!r}; use {bounds} GiB")
    return size


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """The temporary instance that fills the disk: ``build`` of a target."""

    instance_type: str
    image_id: str
    vswitch_id: str
    security_group_id: str
    disk_gib: int
    zone_id: str | None = None
    disk_category: str = "cloud_essd"
    system_disk_category: str = "cloud_essd"
    system_disk_gib: int = 40
    performance_level: str = "PL1"

    @classmethod
    def from_mapping(cls, target: Mapping[str, Any], *, disk_gib: Any = None) -> BuildSpec:
        """Read a target.

        :param disk_gib: takes the place of the target's own, when given.
        :raises InvalidInputError: naming the field.
        """
        build = required("target", target, "build")
        asked = disk_gib if disk_gib not in (None, "") else required("build", build, "disk_gib")
        return cls(
            instance_type=required("build", build, "instance_type"),
            image_id=required("build", build, "image_id"),
            vswitch_id=required("build", build, "vswitch_id"),
            security_group_id=required("build", build, "security_group_id"),
            disk_gib=disk_size("disk_gib", asked),
            zone_id=build.get("zone_id") or None,
            disk_category=build.get("disk_category") or "cloud_essd",
            system_disk_category=build.get("system_disk_category") or "cloud_essd",
            system_disk_gib=int(build.get("system_disk_gib") or 40),
            performance_level=build.get("performance_level") or "PL1",
        )

    def level(self, category: str) -> str | None:
        """Return the performance level for a disk of ``category``, where it has one."""
        return self.performance_level if category == LEVELLED else None
