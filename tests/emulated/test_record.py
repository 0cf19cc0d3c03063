"""The last steps of a build and of a rollout: what the history gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ack_preload.domain.tags import SEALED_KEY
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.history import open_store
from ack_preload.operators.build_instance import RunBuildInstanceOperator
from ack_preload.operators.record import RecordSnapshotOperator
from ack_preload.operators.rollout import AwaitNewNodesOperator, RecordRolloutOperator
from ack_preload.store import Run
from emulator.app import Handle
from tests.emulated.driving import perform, target
from tests.emulated.measuring import make_pool, measuring


@pytest.fixture(autouse=True)
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = {"conn_type": "sqlite", "host": str(tmp_path / "history.db")}
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", json.dumps(store))


def make_snapshot(cloud: Handle) -> str:
    run = RunBuildInstanceOperator(task_id="i", target=target(cloud), key_pair_name="demo-nodes")
    disk_id = perform(run)["disk_id"]
    return EcsHook().create_snapshot(disk_id, name="ack-preload-demo", token="t", tags={})


def test_a_build_and_its_snapshot_are_kept_with_their_versions(cloud: Handle) -> None:
    snapshot_id = make_snapshot(cloud)
    record = RecordSnapshotOperator(
        task_id="r",
        target_name="demo",
        snapshot_id=snapshot_id,
        disk_id="d-1",
        lock_digest="sha256:0",
        instance_id="i-1",
        versions={"kubernetes": "1.32.1-aliyun.1", "runtime": "1.6.20"},
        seal={"images": 7},
    )
    record.execute(measuring())
    snapshot = open_store().snapshot(snapshot_id)
    build = open_store().build_for_run(Run("measure_ready_latency", "manual__1"))
    assert snapshot is not None
    assert build is not None
    assert (snapshot.kubernetes_version, snapshot.runtime_version) == ("1.32.1-aliyun.1", "1.6.20")
    assert (build.instance_id, build.seal) == ("i-1", {"images": 7})
    assert cloud.cloud.snapshots[snapshot_id].tags[SEALED_KEY] == "sha256:0"


def test_a_rollout_is_kept_with_what_was_proven() -> None:
    record = RecordRolloutOperator(
        task_id="r",
        target_name="demo",
        snapshot_id="s-1",
        node_pool_id="np-1",
        previous_snapshot_id="s-0",
        lock_digest="sha256:0",
        images_verified="7",  # as a template renders it
    )
    assert record.execute(measuring()) == {"node_pool_id": "np-1", "images_verified": 7}
    kept = open_store().latest_rollout("demo")
    assert kept is not None
    assert (kept.previous_snapshot_id, kept.images_verified) == ("s-0", 7)


def await_nodes(cloud: Handle, pool_id: str, *, created: Any) -> Any:
    operator = AwaitNewNodesOperator(
        task_id="a", cluster_id=cloud.facts["cluster_id"], node_pool_id=pool_id, created=created
    )
    return perform(operator, measuring())


def test_the_nodes_of_a_new_pool_are_waited_for(cloud: Handle) -> None:
    assert await_nodes(cloud, cloud.facts["node_pool_id"], created="True") == 1


def test_a_pool_that_was_there_is_not(cloud: Handle) -> None:
    assert await_nodes(cloud, cloud.facts["node_pool_id"], created=False) == 0


def test_a_new_pool_of_no_nodes_is_done(cloud: Handle) -> None:
    assert await_nodes(cloud, make_pool(cloud), created=True) == 0
