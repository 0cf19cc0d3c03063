"""What ECS keeps about instances, disks, snapshots and key pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.account import Image
    from emulator.machines.base import Machine

Tags = dict[str, str]


class InstanceStatus(StrEnum):
    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    STOPPED = "Stopped"


class DiskStatus(StrEnum):
    CREATING = "Creating"
    ATTACHING = "Attaching"
    IN_USE = "In_use"
    AVAILABLE = "Available"


class SnapshotStatus(StrEnum):
    PROGRESSING = "progressing"
    ACCOMPLISHED = "accomplished"
    FAILED = "failed"


@dataclass(slots=True)
class KeyPair:
    name: str
    key_pair_id: str
    public_key: str
    fingerprint: str
    created: datetime
    tags: Tags


@dataclass(slots=True)
class Disk:
    disk_id: str
    name: str
    type: str  # system or data
    category: str
    performance_level: str
    size_gib: int
    device: str  # as the API names it: /dev/xvdb is /dev/vdb in the machine
    instance_id: str
    delete_with_instance: bool
    created: datetime
    tags: Tags
    encrypted: bool = False
    source_snapshot_id: str = ""
    status: DiskStatus = DiskStatus.CREATING
    attached: datetime | None = None  # the last time

    @property
    def serial(self) -> str:
        return self.disk_id.removeprefix("d-")


@dataclass(slots=True)
class Snapshot:
    snapshot_id: str
    name: str
    description: str
    disk_id: str
    disk_size_gib: int
    disk_type: str
    created: datetime
    upload: timedelta
    tags: Tags
    encrypted: bool = False
    retention_days: int = 0  # 0 is for ever
    cloned_at: datetime | None = None  # from now on the disk's content at that moment is safe
    allocated_bytes: int = 0
    has_failed: bool = False

    def status(self, now: datetime) -> SnapshotStatus:
        if self.has_failed:
            return SnapshotStatus.FAILED
        if self.cloned_at is None or now < self.cloned_at + self.upload:
            return SnapshotStatus.PROGRESSING
        return SnapshotStatus.ACCOMPLISHED

    def uploaded(self, now: datetime) -> float:
        """Return which part, of 1, is uploaded."""
        if self.cloned_at is None:
            return 0.0
        if not self.upload:
            return 1.0
        return min(1.0, (now - self.cloned_at) / self.upload)


@dataclass(slots=True)
class Instance:
    instance_id: str
    name: str
    hostname: str
    image: Image
    instance_type: str
    key_pair_name: str
    private_ip: str
    security_group_ids: list[str]
    created: datetime
    tags: Tags
    spot_strategy: str = "NoSpot"
    description: str = ""
    auto_release: datetime | None = None
    node_pool_id: str = ""  # of a node; ACK owns it
    status: InstanceStatus = InstanceStatus.PENDING
    started: datetime | None = None
    stopped_mode: str = "Not-applicable"
    is_being_released: bool = False
    failure: str = ""
    disk_ids: list[str] = field(default_factory=list)  # the system disk, then data disks in order
    machine: Machine | None = None
