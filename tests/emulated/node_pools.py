"""What tests of node pools share: a history, two snapshots, and operators that are set up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ack_preload.hooks.ack import AckHook
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.node_pool_end import DeleteNodePoolOperator, RestoreNodePoolOperator
from ack_preload.operators.node_pool_size import ScaleNodePoolOperator
from ack_preload.operators.rollout import RecordRolloutOperator
from emulator.app import Handle
from tests.emulated.driving import context, perform, target

NAME = "preloaded"
EARLIER, LATER = context(run_id="manual__1"), context(run_id="manual__2")


def apply(cloud: Handle, snapshot_id: str | None = None, **changes: Any) -> ApplyNodePoolOperator:
    return ApplyNodePoolOperator(
        task_id="apply",
        target=changes.pop("target", target(cloud)),
        pool_name=changes.pop("pool_name", NAME),
        snapshot_id=snapshot_id,
        **changes,
    )


def scale(cloud: Handle, node_pool_id: str, desired_size: int | str) -> ScaleNodePoolOperator:
    return ScaleNodePoolOperator(
        task_id="scale",
        cluster_id=cloud.facts["cluster_id"],
        node_pool_id=node_pool_id,
        desired_size=desired_size,
    )


def delete(cloud: Handle, **which: str) -> DeleteNodePoolOperator:
    return DeleteNodePoolOperator(task_id="delete", cluster_id=cloud.facts["cluster_id"], **which)


def restore(cloud: Handle) -> RestoreNodePoolOperator:
    return RestoreNodePoolOperator(task_id="restore", cluster_id=cloud.facts["cluster_id"])


def record(made: dict[str, Any], snapshot_id: str, task: Any) -> None:
    """Record the rollout of a pool as good."""
    operator = RecordRolloutOperator(
        task_id="record",
        target_name="demo",
        snapshot_id=snapshot_id,
        node_pool_id=made["node_pool_id"],
        lock_digest="sha256:1",
        images_verified=1,
    )
    perform(operator, task)


def pool(cloud: Handle, node_pool_id: str) -> Any:
    return AckHook().node_pool(cloud.facts["cluster_id"], node_pool_id)


def bodies(cloud: Handle, action: str) -> list[dict[str, Any]]:
    """Return the bodies of all calls of an action, as the cloud logged them."""
    log = Path(cloud.state_dir, "requests.jsonl").read_text().splitlines()
    calls = [json.loads(line) for line in log]
    return [call["body"] for call in calls if call["action"] == action]
