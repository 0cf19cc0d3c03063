"""What ECS keeps about instances, disks, snapshots and key pairs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from emulator.metering.watched import Watched

if TYPE_CHECKING:
    from emulator.account import Image
    from emulator.machines.base import Machine

Tags = dict[str, str]
ESSD = "cloud_essd"  # a category; others of its family begin so
MAX_PERCENT = 99  # of a snapshot that is still progressing


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
    DETACHING = "Detaching"
    AVAILABLE = "Available"


class SnapshotStatus(StrEnum):
    PROGRESSING = "progressing"
    ACCOMPLISHED = "accomplished"
    FAILED = "failed"


@dataclass(slots=True)
class KeyPair(Watched):
    name: str
    key_pair_id: str
    public_key: str
    fingerprint: str
    created: datetime
    tags: Tags


@dataclass(slots=True)
class Disk(Watched):
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
    description: str = ""
    encrypted: bool = False
    source_snapshot_id: str = ""
    status: DiskStatus = DiskStatus.CREATING
    attached: datetime | None = None  # the last time
    is_made: bool = False  # behind the machines
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # it is made, or will never be

    @property
    def serial(self) -> str:
        return self.disk_id.removeprefix("d-")


@dataclass(slots=True)
class Snapshot(Watched):
    snapshot_id: str
    name: str
    description: str
    disk_id: str
    disk_size_gib: int
    disk_type: str
    disk_category: str
    created: datetime
    upload: timedelta
    tags: Tags
    encrypted: bool = False
    retention_days: int = 0  # 0 is for ever
    fails_at_percent: int | None = None  # of the upload, by a fault
    cloned_at: datetime | None = None  # from now on the disk's content at that moment is safe
    ended: datetime | None = None
    allocated_bytes: int = 0
    is_stored: bool = False  # behind the machines
    status: SnapshotStatus = SnapshotStatus.PROGRESSING
    _ended_percent: int = 0

    @property
    def is_available(self) -> bool:
        """Tell whether disks can be made of it: of an ESSD's before it is uploaded."""
        if self.status is SnapshotStatus.PROGRESSING:
            return self.is_stored and self.disk_category.startswith(ESSD)
        return self.is_stored and self.status is SnapshotStatus.ACCOMPLISHED

    def percent(self, now: datetime) -> int:
        """Return how much is uploaded; 100 comes with the end only."""
        if self.ended is not None:
            return self._ended_percent
        if self.cloned_at is None:
            return 0
        if not self.upload:
            return MAX_PERCENT
        return min(MAX_PERCENT, int(100 * ((now - self.cloned_at) / self.upload)))

    def end(self, now: datetime, status: SnapshotStatus) -> None:
        """Let the upload come to its end; a failed one keeps the progress that it had made."""
        accomplished = status is SnapshotStatus.ACCOMPLISHED
        self._ended_percent = 100 if accomplished else self.percent(now)
        self.ended = now
        self.status = status


@dataclass(slots=True)
class Instance(Watched):
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
    is_recycling: bool = False  # a spot instance that is about to be taken back
    is_silent: bool = True  # its agent: the machine is down
    last_heard: datetime | None = None  # of the agent, before that
    failure: str = ""
    disk_ids: list[str] = field(default_factory=list)  # the system disk, then data disks in order
    machine: Machine | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)  # one thing at a time on the machine
