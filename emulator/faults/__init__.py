"""Bad behaviour on demand: what a test or the control route switches on, and where it strikes."""

from __future__ import annotations

from emulator.faults.engine import Armed, FaultError, Faults
from emulator.faults.fault import Fault
from emulator.faults.kinds import (
    AssistantAbsent,
    DiskFull,
    EmptyBody,
    HostKeyChanged,
    NodeError,
    NoStock,
    PackageMissing,
    RegistryError,
    RegistryTruncated,
    ResetAfter,
    ResetBefore,
    ServerError,
    Slow,
    SnapshotFailed,
    SpotReclaim,
    SshDropped,
    SshRefused,
    Stuck,
    Throttle,
)

__all__ = [
    "Armed",
    "AssistantAbsent",
    "DiskFull",
    "EmptyBody",
    "Fault",
    "FaultError",
    "Faults",
    "HostKeyChanged",
    "NoStock",
    "NodeError",
    "PackageMissing",
    "RegistryError",
    "RegistryTruncated",
    "ResetAfter",
    "ResetBefore",
    "ServerError",
    "Slow",
    "SnapshotFailed",
    "SpotReclaim",
    "SshDropped",
    "SshRefused",
    "Stuck",
    "Throttle",
]
