"""One node pool, several runs: none undoes what another counts on, and the way back is exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from ack_preload.domain.errors import (
    ForeignResourceError,
    InvalidInputError,
    ResourceFailedError,
)
from ack_preload.domain.tags import INSTALLATION_KEY
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.rollout import AwaitNewNodesOperator
from emulator.ack.resources import PoolState
from emulator.app import Handle
from emulator.faults import ResetAfter, ServerError
from tests.emulated.driving import context, deferred_by, fired, perform, target
from tests.emulated.node_pools import (
    EARLIER,
    LATER,
    NAME,
    apply,
    bodies,
    delete,
    pool,
    record,
    restore,
    scale,
)

pytestmark = pytest.mark.usefixtures("node_pool_history")
THIRD = context(run_id="manual__3")


def disk(cloud: Handle, node_pool_id: str) -> Mapping[str, Any]:
    last: Mapping[str, Any] = pool(cloud, node_pool_id).data_disks[-1]
    return last


def larger(cloud: Handle, gib: int, **pool_fields: Any) -> dict[str, Any]:
    found = target(cloud, **pool_fields)
    return {**found, "build": {**found["build"], "disk_gib": gib}}


# -- a way back that would undo another run's rollout


def test_a_cleared_run_deletes_no_pool_that_another_took_as_it_was(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    assert perform(apply(cloud, snapshots[0]), LATER)["created"] is False
    assert perform(restore(cloud), EARLIER) == []
    perform(apply(cloud, snapshots[0]), EARLIER)  # cleared, it takes the pool back, and fails
    assert perform(restore(cloud), EARLIER) == []
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[0]


def test_a_cleared_run_takes_back_no_change_that_another_counts_on(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    perform(apply(cloud, snapshots[1]), THIRD)
    for run in (LATER, THIRD, EARLIER):
        assert perform(restore(cloud), run) == []
        assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[1]


def test_a_run_that_undoes_its_change_leaves_the_pool_to_no_ones_deletion(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    perform(restore(cloud), LATER)
    assert perform(restore(cloud), EARLIER) == []
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[0]


def test_a_recorded_run_that_is_cleared_goes_back_to_what_it_recorded(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    record(made, snapshots[0], EARLIER)
    perform(apply(cloud, snapshots[1]), EARLIER)  # cleared: there is a newer snapshot by now
    assert perform(restore(cloud), EARLIER) == []
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[0]


def test_a_pool_of_another_airflow_on_the_account_is_neither_taken_nor_deleted(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    held = cloud.cloud.node_pools[made["node_pool_id"]].scaling_group["tags"]
    for tag in held:
        if tag["key"] == INSTALLATION_KEY:
            tag["value"] = "elsewhere"
    for operator in (apply(cloud, snapshots[1]), delete(cloud, pool_name=NAME)):
        with pytest.raises(ForeignResourceError, match="set the extra installation of the conn"):
            perform(operator, EARLIER)
    with pytest.raises(ForeignResourceError, match="elsewhere"):
        AckHook().delete_node_pool(cloud.facts["cluster_id"], made["node_pool_id"])
    assert perform(restore(cloud), EARLIER) == perform(delete(cloud), EARLIER) == []
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[0]


def test_a_change_that_is_overtaken_between_look_and_call_looks_again(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    overtaken = apply(cloud, snapshots[1])
    seen = pool(cloud, made["node_pool_id"])
    perform(apply(cloud, snapshots[0]), THIRD)
    with pytest.raises(TaskDeferred) as caught:
        overtaken._adopt(LATER, seen)
    assert caught.value.trigger.wait == "node_pool_settled"
    assert perform(overtaken, LATER)["previous_snapshot_id"] == snapshots[0]


def test_a_pool_that_is_changing_is_waited_for_before_it_is_changed(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    found = cloud.cloud.node_pools[made["node_pool_id"]]
    for state in (PoolState.INITIAL, PoolState.SCALING, PoolState.REMOVING, PoolState.UPDATING):
        found.state = state
        operator = apply(cloud, snapshots[1])
        waiting = deferred_by(operator, LATER)
        assert (waiting.trigger.wait, waiting.method_name) == ("node_pool_settled", "begin_again")
        assert found.scaling_group["data_disks"][-1]["snapshot_id"] == snapshots[0]
    found.state = PoolState.ACTIVE
    with pytest.raises(TaskDeferred):
        operator.begin_again(LATER, fired(waiting))
    assert found.scaling_group["data_disks"][-1]["snapshot_id"] == snapshots[1]


# -- turns


def test_a_pool_in_the_hands_of_a_running_run_is_waited_for(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    perform(apply(cloud, snapshots[0]), EARLIER)
    asked = []

    def running_twice(dag_id: str, run_ids: list[str], states: list[str]) -> int:
        asked.append((dag_id, run_ids, states))
        return int(len(asked) <= 2)

    task = context(run_id="manual__2", get_dr_count=running_twice)
    assert perform(apply(cloud, snapshots[1]), task)["previous_snapshot_id"] == snapshots[0]
    assert asked == [("build_preloaded_disk", ["manual__1"], ["running"])] * 3
    perform(apply(cloud, snapshots[0]), task)  # its own pool is no one's turn but its own
    assert len(asked) == 3


# -- the way back


def test_the_way_back_restores_the_earlier_disk_exactly(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    small = larger(cloud, 40, performance_level="PL0")
    made = perform(apply(cloud, snapshots[0], target=small), EARLIER)
    before = dict(disk(cloud, made["node_pool_id"]))
    perform(apply(cloud, snapshots[1], target=larger(cloud, 200)), LATER)
    assert disk(cloud, made["node_pool_id"])["size"] == 200
    perform(restore(cloud), LATER)
    assert dict(disk(cloud, made["node_pool_id"])) == before
    assert (before["size"], before["performance_level"]) == (40, "PL0")


def test_the_way_back_of_an_earlier_releases_change_takes_the_size_of_the_snapshots_disk(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0], target=larger(cloud, 40)), EARLIER)
    perform(apply(cloud, snapshots[1], target=larger(cloud, 200)), LATER)
    group = cloud.cloud.node_pools[made["node_pool_id"]].scaling_group
    group["tags"] = [tag for tag in group["tags"] if "previous-disk" not in tag["key"]]
    perform(restore(cloud), LATER)
    found = disk(cloud, made["node_pool_id"])
    assert (found["snapshot_id"], found["size"]) == (snapshots[0], 40)


@pytest.mark.parametrize("fault", [ResetAfter, ServerError], ids=["lost", "503"])
def test_the_way_back_survives_a_reply_that_got_lost(
    cloud: Handle, snapshots: tuple[str, str], fault: Any
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    with cloud.fault(fault(target="ModifyClusterNodePool")):
        perform(restore(cloud), LATER)
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[0]


def test_a_way_back_whose_worker_was_lost_is_ended_by_the_next_try(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    deferred_by(restore(cloud), LATER)
    assert perform(restore(cloud), LATER) == []
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[0]
    assert len(bodies(cloud, "ModifyClusterNodePool")) == 2


def test_a_way_back_whose_snapshot_is_gone_leaves_what_serves_and_is_red(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    other = perform(apply(cloud, snapshots[1], pool_name="second"), LATER)
    EcsHook().delete_snapshot(snapshots[0])
    told = rf"keeps snapshot {snapshots[1]}, as snapshot {snapshots[0]}, which it had .* is gone"
    for _ in ("the first time", "and whenever it is tried again"):
        with pytest.raises(ResourceFailedError, match=told):
            perform(restore(cloud), LATER)
        assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[1]
    assert pool(cloud, other["node_pool_id"]) is None  # the rest of the way back was gone


# -- a pool that is there, and not as the target wants it


def test_a_kept_pool_gets_the_snapshot_and_keeps_its_own_rest(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1], target=target(cloud, labels={"team": "b"})), LATER)
    found = pool(cloud, made["node_pool_id"])
    assert (found.snapshot_id, found.kubernetes_config["labels"]) == (snapshots[1], [])


def test_a_pool_of_one_run_only_that_is_otherwise_is_refused(cloud: Handle) -> None:
    perform(apply(cloud, purpose="measure"))
    wanted = apply(cloud, purpose="measure", target=target(cloud, labels={"team": "b"}))
    with pytest.raises(InvalidInputError, match=r"otherwise than the target says: pool\.labels"):
        perform(wanted, context(try_number=2))


def test_a_disk_that_the_runtime_would_not_get_is_no_pool_as_wanted(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]))
    cloud.cloud.node_pools[made["node_pool_id"]].scaling_group["data_disks"] = [
        {**disk(cloud, made["node_pool_id"]), "mount_target": "/mnt"}
    ]
    perform(apply(cloud, snapshots[0]))
    assert "mount_target" not in disk(cloud, made["node_pool_id"])


def test_a_pool_whose_data_disk_somebody_took_away_is_told(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]))
    cloud.cloud.node_pools[made["node_pool_id"]].scaling_group["data_disks"] = []
    with pytest.raises(InvalidInputError, match="has no data disk to change; add one"):
        perform(apply(cloud, snapshots[0]))


# -- new nodes


def awaiting(cloud: Handle, node_pool_id: str) -> AwaitNewNodesOperator:
    return AwaitNewNodesOperator(
        task_id="await",
        cluster_id=cloud.facts["cluster_id"],
        node_pool_id=node_pool_id,
        created=True,
    )


def test_a_pool_that_an_autoscaler_made_larger_meanwhile_is_ready_all_the_same(
    cloud: Handle,
) -> None:
    made = perform(apply(cloud, desired_size=1))
    waiting = awaiting(cloud, made["node_pool_id"])
    deferral = deferred_by(waiting)
    perform(scale(cloud, made["node_pool_id"], 2))
    assert deferral.trigger.subject["count"] == 1
    assert perform(waiting) == 2
    assert waiting.resume(context(), fired(deferral)) == 2


def test_a_rollout_whose_pool_is_gone_is_not_green(cloud: Handle) -> None:
    with pytest.raises(ResourceFailedError, match="np-gone, which this run applied, is gone"):
        perform(awaiting(cloud, "np-gone"))
