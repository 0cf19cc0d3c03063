"""What tests of node pools share: a history, two snapshots, and operators that are set up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ack_preload.hooks.ack import AckHook
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.node_pool_end import DeleteNodePoolOperator, RestoreNodePoolOperator
from ack_preload.operators.node_pool_size import ScaleNodePoolOperator
from ack_preload.operators.rollout import RecordRolloutOperator
from emulator.app import Handle, running
from tests.conftest import INSTANT
from tests.emulated.driving import connection, context, perform, target

NAME = "preloaded"
EARLIER, LATER = context(run_id="manual__1"), context(run_id="manual__2")


def world(tmp_path_factory: pytest.TempPathFactory, read_delay_s: float = 0.0) -> Iterator[Handle]:
    """Run one local cloud for all tests of a module that only add pools of their own names."""
    settings = replace(INSTANT, max_node_pools=500, read_delay_s=read_delay_s)
    place = tmp_path_factory.mktemp("world")
    store = {"conn_type": "sqlite", "host": str(place / "history.db")}
    with (
        running(place / "cloud", settings=settings) as handle,
        pytest.MonkeyPatch.context() as env,
    ):
        line = connection(handle.facts, visible_within_s=0.8 if read_delay_s else 0.05)
        env.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", line)
        env.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", json.dumps(store))
        yield handle


def named(cloud: Handle, name: str) -> list[Any]:
    return [each for each in cloud.cloud.node_pools.values() if each.name == name]


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


def delete(cloud: Handle, **which: Any) -> DeleteNodePoolOperator:
    return DeleteNodePoolOperator(task_id="delete", cluster_id=cloud.facts["cluster_id"], **which)


def restore(cloud: Handle, **which: Any) -> RestoreNodePoolOperator:
    return RestoreNodePoolOperator(task_id="restore", cluster_id=cloud.facts["cluster_id"], **which)


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
