"""ECS 2014-05-26, the RPC style API of instances, disks and snapshots."""

from __future__ import annotations

from emulator.ecs import assistant, catalog, disks, instances, key_pairs, snapshots
from emulator.ecs.actions import ACTIONS, MODEL, VERSION, perform

__all__ = [
    "ACTIONS",
    "MODEL",
    "VERSION",
    "assistant",
    "catalog",
    "disks",
    "instances",
    "key_pairs",
    "perform",
    "snapshots",
]
