"""The tables of the history; a migration makes them, see ``migrations/versions``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

METADATA = MetaData()

# Airflow's own limit for dag_id and run_id.
AIRFLOW_ID = 250
CLOUD_ID = 64
DIGEST = 71  # sha256: and 64 hex digits


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment; SQLite forgets the zone, so it is written in UTC and read as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; pass an aware datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _text(name: str, length: int) -> Column[Any]:
    return Column(name, String(length), nullable=False, default="", server_default="")


def _run(*, keyed: bool) -> tuple[Column[Any], ...]:
    """Return the columns of ``records.Run``; they are the key where a run makes one row."""
    return (
        Column("dag_id", String(AIRFLOW_ID), primary_key=keyed, nullable=False),
        Column("run_id", String(AIRFLOW_ID), primary_key=keyed, nullable=False),
        _text("chain", AIRFLOW_ID),
    )


def _common() -> tuple[Column[Any], ...]:
    return (
        Column("target", String(CLOUD_ID), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
    )


INSTALLATION = Table(
    "installation",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("installation", String(CLOUD_ID), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
)

IMAGE_LOCKS = Table(
    "image_locks",
    METADATA,
    *_run(keyed=True),
    *_common(),
    Column("digest", String(DIGEST), nullable=False, index=True),
    Column("content", Text, nullable=False),
    Column("image_list", Text, nullable=False),
    Column("images", Integer, nullable=False),
    Index("ix_image_locks_target", "target", "created_at"),
)

BUILDS = Table(
    "builds",
    METADATA,
    *_run(keyed=True),
    *_common(),
    _text("lock_digest", DIGEST),
    _text("instance_id", CLOUD_ID),
    _text("disk_id", CLOUD_ID),
    _text("kubernetes_version", CLOUD_ID),
    _text("runtime_version", CLOUD_ID),
    Column("seal", JSON, nullable=False),
    Index("ix_builds_target", "target", "created_at"),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("snapshot_id", String(CLOUD_ID), primary_key=True),
    *_run(keyed=False),
    *_common(),
    _text("lock_digest", DIGEST),
    _text("disk_id", CLOUD_ID),
    _text("kubernetes_version", CLOUD_ID),
    _text("runtime_version", CLOUD_ID),
    Index("ix_snapshots_target", "target", "created_at"),
    Index("ix_snapshots_run", "dag_id", "run_id"),
)

ROLLOUTS = Table(
    "rollouts",
    METADATA,
    *_run(keyed=True),
    *_common(),
    _text("snapshot_id", CLOUD_ID),
    _text("node_pool_id", CLOUD_ID),
    _text("previous_snapshot_id", CLOUD_ID),
    _text("lock_digest", DIGEST),
    Column("images_verified", Integer, nullable=False),
    Index("ix_rollouts_target", "target", "created_at"),
)

SAMPLES = Table(
    "samples",
    METADATA,
    *_run(keyed=True),
    Column("arm", String(16), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    *_common(),
    _text("node_pool_id", CLOUD_ID),
    _text("instance_id", CLOUD_ID),
    _text("node_name", 253),
    Column("never_ready", Boolean, nullable=False),
    Column("ready_latency_s", Float),
    Column("ready_since_request_s", Float),
    Column("ready_since_registration_s", Float),
    Column("workload_start_s", Float),
    Column("pulled_images", Integer),
    Column("pulled_bytes", BigInteger),
    Column("moments", JSON, nullable=False),
    Column("note", Text, nullable=False, default="", server_default=""),
    Index("ix_samples_target", "target", "created_at"),
)

COMPARISONS = Table(
    "comparisons",
    METADATA,
    *_run(keyed=True),
    *_common(),
    _text("snapshot_id", CLOUD_ID),
    Column("speedup", Float),
    Column("content", JSON, nullable=False),
    Index("ix_comparisons_target", "target", "created_at"),
)
