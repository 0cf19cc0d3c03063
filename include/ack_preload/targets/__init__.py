"""Targets: the node pools to speed up, as declared in one validated file."""

from __future__ import annotations

from ack_preload.targets.load import TargetError, load_target, load_targets, targets_path
from ack_preload.targets.model import Build, Limits, Measure, Pool, Source, Target, Targets

__all__ = [
    "Build",
    "Limits",
    "Measure",
    "Pool",
    "Source",
    "Target",
    "TargetError",
    "Targets",
    "load_target",
    "load_targets",
    "targets_path",
]
