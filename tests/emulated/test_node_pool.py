"""Node pools: applied once, and scaled to a number."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from ack_preload.domain.errors import (
    CloudError,
    ForeignResourceError,
    InvalidInputError,
    ResourceFailedError,
)
from ack_preload.domain.node_pools import PoolSpec
from ack_preload.domain.tags import EXPIRES_KEY, RUN_KEY
from ack_preload.hooks.history import open_store
from ack_preload.operators.node_pool_end import DeleteNodePoolOperator, RestoreNodePoolOperator
from ack_preload.store import SnapshotRecord
from emulator.app import Handle
from emulator.faults import NodeError
from tests.emulated.driving import context, deferred_by, fired, perform, target
from tests.emulated.node_pools import EARLIER, LATER, NAME, apply, bodies, pool, scale

pytestmark = pytest.mark.usefixtures("node_pool_history")


def test_a_pool_is_created_with_the_snapshot_on_its_last_disk(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]))
    assert made["created"] is True
    assert made["previous_snapshot_id"] == ""
    found = pool(cloud, made["node_pool_id"])
    assert (found.name, found.state, found.snapshot_id) == (NAME, "active", snapshots[0])
    assert found.runtime_version == "1.6.20"
    assert found.tags[RUN_KEY] == "build_preloaded_disk/manual__1"


def test_a_pool_that_is_kept_has_no_expiry_and_one_to_measure_has(cloud: Handle) -> None:
    kept = perform(apply(cloud))
    passing = perform(apply(cloud, pool_name="baseline", purpose="measure"))
    assert EXPIRES_KEY not in pool(cloud, kept["node_pool_id"]).tags
    assert EXPIRES_KEY in pool(cloud, passing["node_pool_id"]).tags


def test_a_second_try_finds_the_pool_of_the_first(cloud: Handle) -> None:
    first = deferred_by(apply(cloud))
    second = perform(apply(cloud), context(try_number=2))
    assert first.trigger.subject["node_pool_id"] == second["node_pool_id"]
    assert second["created"] is True


def test_a_name_that_was_taken_meanwhile_by_us_is_taken_over(cloud: Handle) -> None:
    made = perform(apply(cloud))
    operator, spec = apply(cloud), PoolSpec.from_mapping(target(cloud))
    with pytest.raises(TaskDeferred) as deferred:  # as if the first look had come too early
        operator._create(context(), spec, operator.ownership(context(), target(cloud), keep=True))
    assert deferred.value.trigger.subject["node_pool_id"] == made["node_pool_id"]


def test_a_refused_create_is_not_looked_for(cloud: Handle) -> None:
    wrong = target(cloud, instance_types=["ecs.none.large"])
    with pytest.raises(CloudError) as caught:
        perform(apply(cloud, target=wrong))
    assert caught.value.code == "InvalidParameter.InstanceType"


def test_a_foreign_pool_of_that_name_is_left_alone(cloud: Handle) -> None:
    foreign = pool(cloud, cloud.facts["node_pool_id"])
    with pytest.raises(ForeignResourceError, match=r"choose another pool\.name"):
        perform(apply(cloud, pool_name=foreign.name))
    assert pool(cloud, foreign.node_pool_id) == foreign


def test_a_source_pool_that_does_not_exist_is_named(cloud: Handle) -> None:
    wrong = target(cloud) | {"source": {"node_pool_id": "np-none"}}
    with pytest.raises(InvalidInputError, match=r"source.node_pool_id is 'np-none'"):
        perform(apply(cloud, target=wrong))


def test_a_later_run_changes_the_pool_and_remembers_the_way_back(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    first = perform(apply(cloud, snapshots[0]), EARLIER)
    second = perform(apply(cloud, snapshots[1]), LATER)
    assert second == {
        "cluster_id": cloud.facts["cluster_id"],
        "node_pool_id": first["node_pool_id"],
        "created": False,
        "previous_snapshot_id": snapshots[0],
    }
    assert pool(cloud, first["node_pool_id"]).snapshot_id == snapshots[1]


def test_a_second_try_of_a_change_still_knows_the_way_back(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    perform(apply(cloud, snapshots[0]), EARLIER)
    deferred_by(apply(cloud, snapshots[1]), LATER)
    assert perform(apply(cloud, snapshots[1]), LATER)["previous_snapshot_id"] == snapshots[0]
    assert len(bodies(cloud, "ModifyClusterNodePool")) == 1


def built_for(runtime_version: str, snapshot_id: str) -> None:
    """Record the snapshot of a disk that was built for a version of containerd."""
    open_store().put_snapshot(
        SnapshotRecord(
            snapshot_id=snapshot_id,
            dag_id="build_preloaded_disk",
            run_id="manual__1",
            target="demo",
            lock_digest="sha256:1",
            runtime_version=runtime_version,
        )
    )


def test_a_snapshot_for_another_runtime_than_the_pools_is_refused(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    built_for("1.6.36", snapshots[1])
    with pytest.raises(InvalidInputError) as caught:
        perform(apply(cloud, snapshots[1]), LATER)
    assert str(caught.value) == (
        f"node pool {made['node_pool_id']} ({NAME}) has containerd 1.6.20 and snapshot "
        f"{snapshots[1]} was built for 1.6.36; bring the pool to 1.6.36, or choose another "
        "pool.name in the target"
    )
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[0]


@pytest.mark.parametrize("version", ["1.6.20", ""], ids=["the pool's", "not recorded"])
def test_a_snapshot_for_the_pools_runtime_is_applied(
    cloud: Handle, snapshots: tuple[str, str], version: str
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    built_for(version, snapshots[1])
    perform(apply(cloud, snapshots[1]), LATER)
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[1]


def test_a_pool_that_this_run_made_can_be_changed_and_stays_its_own(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    perform(apply(cloud, snapshots[0]))
    assert perform(apply(cloud, snapshots[1]))["created"] is True


def test_without_a_cluster_there_is_nothing_to_undo(cloud: Handle) -> None:
    nowhere = {"task_id": "t", "cluster_id": ""}
    assert perform(RestoreNodePoolOperator(**nowhere)) == []
    assert perform(DeleteNodePoolOperator(**nowhere)) == []


def test_a_change_sends_what_differs_and_nothing_else(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    (body,) = bodies(cloud, "ModifyClusterNodePool")
    assert body.keys() == {"scaling_group"}
    assert body["scaling_group"].keys() == {"data_disks", "tags"}
    assert body["scaling_group"]["data_disks"][-1]["snapshot_id"] == snapshots[1]


def test_scaling_sends_the_size_and_nothing_else(cloud: Handle) -> None:
    made = perform(apply(cloud))
    perform(scale(cloud, made["node_pool_id"], 1))
    assert bodies(cloud, "ModifyClusterNodePool") == [{"scaling_group": {"desired_size": 1}}]


def test_scaling_up_returns_the_ready_nodes(cloud: Handle, snapshots: tuple[str, str]) -> None:
    made = perform(apply(cloud, snapshots[0]))
    (node,) = perform(scale(cloud, made["node_pool_id"], "1"))["nodes"]
    assert node["instance_id"] in cloud.cloud.instances
    assert node["node_name"] == f"cn-hangzhou.{node['private_ip']}"
    assert node["creation_time"].endswith("+08:00")


def test_scaling_twice_makes_no_second_node(cloud: Handle) -> None:
    made = perform(apply(cloud))
    deferred_by(scale(cloud, made["node_pool_id"], 1))
    assert len(perform(scale(cloud, made["node_pool_id"], 1))["nodes"]) == 1


def test_scaling_to_nothing_waits_until_the_nodes_are_gone(cloud: Handle) -> None:
    made = perform(apply(cloud))
    (node,) = perform(scale(cloud, made["node_pool_id"], 1))["nodes"]
    assert perform(scale(cloud, made["node_pool_id"], 0)) == {"nodes": []}
    assert node["instance_id"] not in cloud.cloud.instances


@pytest.mark.parametrize("size", [-1, "many", None])
def test_a_size_that_is_none_is_refused(cloud: Handle, size: Any) -> None:
    with pytest.raises(InvalidInputError, match="desired_size is"):
        perform(scale(cloud, "np-1", size))


def test_a_node_that_fails_fails_the_task_with_the_clouds_words(cloud: Handle) -> None:
    made = perform(apply(cloud))
    with cloud.fault(NodeError(message="no stock")):
        waiting = deferred_by(scale(cloud, made["node_pool_id"], 1))
        task_id = waiting.trigger.subject["task_id"]
        cloud.run_until(lambda: cloud.cloud.tasks[task_id].state != "running")
    operator = scale(cloud, made["node_pool_id"], 1)
    subject = {"cluster_id": cloud.facts["cluster_id"], "node_pool_id": made["node_pool_id"]}
    with pytest.raises(TaskDeferred) as deferred:
        operator._await_nodes({**subject, "count": 1})
    with pytest.raises(ResourceFailedError, match="no stock"):
        operator.resume(context(), fired(deferred.value))
