"""What is metered of each kind of resource.

Seconds and GiB only, no prices: those depend on contract, region and day. When an instance is
charged follows https://www.alibabacloud.com/help/en/ecs/user-guide/economical-mode: one that was
stopped in economical mode (``StopCharging``) is not, its disks are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator.metering.lines import Reading

if TYPE_CHECKING:
    from emulator.ack.resources import NodePool
    from emulator.ecs.resources import Disk, Instance, KeyPair, Snapshot

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Kind:
    unit: str
    read: Callable[[Any], Reading]


def instance(found: Instance) -> Reading:
    is_free = found.status == "Stopped" and found.stopped_mode == "StopCharging"
    facts = {
        "instance_type": found.instance_type,
        "spot_strategy": found.spot_strategy,
        "node_pool_id": found.node_pool_id,
    }
    return Reading(found.name, dict(found.tags), facts, 0.0 if is_free else 1.0)


def disk(found: Disk) -> Reading:
    facts = {
        "category": found.category,
        "size_gib": found.size_gib,
        "instance_id": found.instance_id,
        "source_snapshot_id": found.source_snapshot_id,
    }
    return Reading(found.name, dict(found.tags), facts, float(found.size_gib))


def snapshot(found: Snapshot) -> Reading:
    """Read the bytes that are stored: none before the disk is cloned or after it was given up."""
    stored = found.allocated_bytes if found.is_stored else 0
    facts = {
        "disk_id": found.disk_id,
        "allocated_bytes": found.allocated_bytes,
        "retention_days": found.retention_days,
    }
    return Reading(found.name, dict(found.tags), facts, stored / GIB)


def key_pair(found: KeyPair) -> Reading:
    return Reading(found.name, dict(found.tags), {}, 0.0)


def node_pool(found: NodePool) -> Reading:
    return Reading(found.name, found.tags(), {"cluster_id": found.cluster_id}, 0.0)


KINDS = {
    "instance": Kind("instance_seconds", instance),
    "disk": Kind("disk_gib_seconds", disk),
    "snapshot": Kind("snapshot_gib_seconds", snapshot),
    "key_pair": Kind("", key_pair),
    "node_pool": Kind("", node_pool),
}
