"""The first tables: image locks, builds, snapshots, rollouts, samples, comparisons."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

AIRFLOW_ID = 250
CLOUD_ID = 64
DIGEST = 71


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default="")


def _run(*, keyed: bool) -> list[sa.Column[Any]]:
    return [
        sa.Column("dag_id", sa.String(AIRFLOW_ID), primary_key=keyed, nullable=False),
        sa.Column("run_id", sa.String(AIRFLOW_ID), primary_key=keyed, nullable=False),
        _text("chain", AIRFLOW_ID),
    ]


def _create(name: str, key: list[sa.Column[Any]], *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        *key,
        sa.Column("target", sa.String(CLOUD_ID), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *columns,
    )
    op.create_index(f"ix_{name}_target", name, ["target", "created_at"])


def _versions() -> list[sa.Column[Any]]:
    return [_text("kubernetes_version", CLOUD_ID), _text("runtime_version", CLOUD_ID)]


def upgrade() -> None:
    _create(
        "image_locks",
        _run(keyed=True),
        sa.Column("digest", sa.String(DIGEST), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("image_list", sa.Text, nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
    )
    op.create_index("ix_image_locks_digest", "image_locks", ["digest"])
    _create(
        "builds",
        _run(keyed=True),
        _text("lock_digest", DIGEST),
        _text("instance_id", CLOUD_ID),
        _text("disk_id", CLOUD_ID),
        *_versions(),
        sa.Column("seal", sa.JSON, nullable=False),
    )
    _create(
        "snapshots",
        [sa.Column("snapshot_id", sa.String(CLOUD_ID), primary_key=True), *_run(keyed=False)],
        _text("lock_digest", DIGEST),
        _text("disk_id", CLOUD_ID),
        *_versions(),
    )
    op.create_index("ix_snapshots_run", "snapshots", ["dag_id", "run_id"])
    _create(
        "rollouts",
        _run(keyed=True),
        _text("snapshot_id", CLOUD_ID),
        _text("node_pool_id", CLOUD_ID),
        _text("previous_snapshot_id", CLOUD_ID),
        _text("lock_digest", DIGEST),
        sa.Column("images_verified", sa.Integer, nullable=False),
    )
    _create_measurements()


def _create_measurements() -> None:
    _create(
        "samples",
        [
            *_run(keyed=True),
            sa.Column("arm", sa.String(16), primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        ],
        _text("node_pool_id", CLOUD_ID),
        _text("instance_id", CLOUD_ID),
        _text("node_name", 253),
        sa.Column("never_ready", sa.Boolean, nullable=False),
        sa.Column("ready_latency_s", sa.Float),
        sa.Column("ready_since_request_s", sa.Float),
        sa.Column("ready_since_registration_s", sa.Float),
        sa.Column("workload_start_s", sa.Float),
        sa.Column("pulled_images", sa.Integer),
        sa.Column("pulled_bytes", sa.BigInteger),
        sa.Column("moments", sa.JSON, nullable=False),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
    )
    _create(
        "comparisons",
        _run(keyed=True),
        _text("snapshot_id", CLOUD_ID),
        sa.Column("speedup", sa.Float),
        sa.Column("content", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    for name in ("comparisons", "samples", "rollouts", "snapshots", "builds", "image_locks"):
        op.drop_table(name)
