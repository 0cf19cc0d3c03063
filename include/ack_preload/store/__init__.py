"""History: image locks, builds, snapshots, rollouts, samples, comparisons."""

from __future__ import annotations

from ack_preload.store.records import (
    BuildRecord,
    ComparisonRecord,
    LockRecord,
    RolloutRecord,
    Run,
    SampleRecord,
    SnapshotRecord,
)
from ack_preload.store.store import Store

__all__ = [
    "BuildRecord",
    "ComparisonRecord",
    "LockRecord",
    "RolloutRecord",
    "Run",
    "SampleRecord",
    "SnapshotRecord",
    "Store",
]
