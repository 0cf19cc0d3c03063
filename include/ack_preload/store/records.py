"""What the history keeps: one frozen record a row, its fields the columns of its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """The DAG run that made a record.

    :ivar chain: the run id of the ``nightly_preload`` run that this one is a part of; empty
        for a run that a person started.
    """

    dag_id: str
    run_id: str
    chain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationRecord:
    """The id of this Airflow on the account, made once. The only table with one row."""

    number: int = 1  # the key: there is one
    installation: str
    created_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRecord:
    dag_id: str
    run_id: str
    chain: str = ""
    target: str
    digest: str
    content: str  # ImageLock.to_json()
    image_list: str  # text of image_list.txt
    images: int
    created_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    dag_id: str
    run_id: str
    chain: str = ""
    target: str
    lock_digest: str
    instance_id: str
    disk_id: str
    kubernetes_version: str = ""
    runtime_version: str = ""
    seal: Mapping[str, Any] = field(default_factory=dict)  # what the seal script counted
    created_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRecord:
    """A snapshot of a sealed disk that is accomplished; an unfinished one has no record."""

    snapshot_id: str
    dag_id: str
    run_id: str
    chain: str = ""
    target: str
    lock_digest: str
    disk_id: str = ""
    kubernetes_version: str = ""
    runtime_version: str = ""
    created_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    dag_id: str
    run_id: str
    chain: str = ""
    target: str
    snapshot_id: str
    node_pool_id: str
    previous_snapshot_id: str = ""
    lock_digest: str = ""
    images_verified: int = 0
    created_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """One node of one arm. Every latency that was not reached is ``None``, never 0."""

    dag_id: str
    run_id: str
    chain: str = ""
    target: str
    arm: str  # baseline or preloaded
    number: int  # 0, 1, 2 ... within its arm
    node_pool_id: str
    instance_id: str = ""
    node_name: str = ""
    never_ready: bool = False
    ready_latency_s: float | None = None  # Ready transition - CS creation_time
    ready_since_request_s: float | None = None  # Ready transition - request accepted (our clock)
    ready_since_registration_s: float | None = None  # Ready transition - Node created (one clock)
    workload_start_s: float | None = None  # container started - Pod created
    pulled_images: int | None = None
    pulled_bytes: int | None = None
    moments: Mapping[str, Any] = field(default_factory=dict)  # each with its source and clock
    note: str = ""  # why there is no figure
    created_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRecord:
    dag_id: str
    run_id: str
    chain: str = ""
    target: str
    snapshot_id: str
    speedup: float | None
    content: Mapping[str, Any] = field(default_factory=dict)  # Comparison.to_dict()
    created_at: datetime = field(default_factory=_now)
