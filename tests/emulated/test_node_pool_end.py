"""Node pools: deleted, and taken back without any note."""

from __future__ import annotations

import pytest

from ack_preload.domain.errors import (
    CloudUnavailableError,
    ForeignResourceError,
)
from ack_preload.domain.tags import APPLIED_KEY, PREVIOUS_KEY
from ack_preload.hooks.ack import AckHook
from ack_preload.operators.pool_changes import MAX_RESTARTS
from emulator.app import Handle
from tests.emulated.driving import context, deferred_by, perform, target
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


def test_deleting_by_run_finds_pools_whose_id_was_never_passed_on(cloud: Handle) -> None:
    first = deferred_by(apply(cloud)).trigger.subject["node_pool_id"]
    second = perform(apply(cloud, pool_name="baseline"))["node_pool_id"]
    assert sorted(perform(delete(cloud))) == sorted([first, second])
    assert set(cloud.cloud.node_pools) == {cloud.facts["node_pool_id"]}


def test_deleting_takes_the_nodes_along(cloud: Handle) -> None:
    made = perform(apply(cloud))
    (node,) = perform(scale(cloud, made["node_pool_id"], 1))["nodes"]
    perform(delete(cloud, node_pool_id=made["node_pool_id"]))
    assert node["instance_id"] not in cloud.cloud.instances


def test_deleting_waits_out_another_change(cloud: Handle) -> None:
    made = perform(apply(cloud))
    deferred_by(scale(cloud, made["node_pool_id"], 1))
    assert perform(delete(cloud, pool_name=NAME)) == [made["node_pool_id"]]


def test_a_pool_that_stays_busy_is_an_error_in_the_end(cloud: Handle) -> None:
    operator = delete(cloud)
    operator.restarts = MAX_RESTARTS

    def busy() -> str:
        raise CloudUnavailableError("InvalidStatus.Forbidden", "scaling", request_id="1")

    with pytest.raises(CloudUnavailableError):
        operator.change("c", "np", busy)


def test_deleting_again_finds_nothing_to_do(cloud: Handle) -> None:
    made = perform(apply(cloud))
    perform(delete(cloud))
    assert perform(delete(cloud, node_pool_id=made["node_pool_id"])) == []
    assert perform(delete(cloud, pool_name=NAME)) == []
    assert AckHook().delete_node_pool(cloud.facts["cluster_id"], made["node_pool_id"]) == ""


def test_a_foreign_pool_is_never_deleted(cloud: Handle) -> None:
    foreign = cloud.facts["node_pool_id"]
    with pytest.raises(ForeignResourceError, match="it is not ours"):
        perform(delete(cloud, node_pool_id=foreign))
    with pytest.raises(ForeignResourceError, match="it is not ours"):
        AckHook().delete_node_pool(cloud.facts["cluster_id"], foreign)
    assert foreign in cloud.cloud.node_pools


def test_the_way_back_of_a_created_pool_is_to_delete_it(cloud: Handle) -> None:
    made = perform(apply(cloud))
    assert perform(restore(cloud)) == [made["node_pool_id"]]


def test_the_way_back_of_a_changed_pool_is_its_earlier_snapshot(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    assert perform(restore(cloud), LATER) == []
    found = pool(cloud, made["node_pool_id"])
    assert found.snapshot_id == snapshots[0]
    assert PREVIOUS_KEY not in found.tags
    assert found.tags[APPLIED_KEY] == "build_preloaded_disk/manual__2"  # no more EARLIER's
    assert perform(restore(cloud), LATER) == []


def test_the_way_back_to_a_blank_disk(cloud: Handle, snapshots: tuple[str, str]) -> None:
    made = perform(apply(cloud), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    perform(restore(cloud), LATER)
    assert pool(cloud, made["node_pool_id"]).snapshot_id is None


def test_the_way_back_touches_nothing_of_other_runs(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    assert perform(restore(cloud), LATER) == []
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[0]


def test_the_way_back_spares_a_pool_whose_rollout_the_run_recorded_before(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    record(made, snapshots[0], EARLIER)
    assert perform(restore(cloud), EARLIER) == []
    perform(apply(cloud, snapshots[1]), LATER)
    record(made, snapshots[1], LATER)
    assert perform(restore(cloud), LATER) == []
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[1]


def test_a_recorded_rollout_spares_no_other_pool_of_the_run(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    record(perform(apply(cloud, snapshots[0])), snapshots[0], context())
    renamed = perform(apply(cloud, snapshots[0], pool_name="renamed"))
    assert perform(restore(cloud)) == [renamed["node_pool_id"]]


def test_the_way_back_spares_a_pool_that_another_run_changed_since(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[1]), LATER)
    assert perform(restore(cloud), EARLIER) == []
    assert pool(cloud, made["node_pool_id"]).snapshot_id == snapshots[1]


def test_the_way_back_leaves_the_canary_to_its_own_teardown(cloud: Handle) -> None:
    canary = perform(apply(cloud, pool_name="canary", purpose="canary"))
    record(perform(apply(cloud)), "", context())
    assert perform(restore(cloud)) == []
    assert perform(delete(cloud, pool_name="canary")) == [canary["node_pool_id"]]


def test_pools_of_a_cluster_that_is_gone_are_none(cloud: Handle) -> None:
    assert AckHook().node_pools_of_run("c-gone", "run", "tests") == []


def test_a_baseline_can_run_on_another_system(cloud: Handle) -> None:
    perform(apply(cloud, image_type="ContainerOS", target=target(cloud, key_pair="demo-nodes")))
    (body,) = bodies(cloud, "CreateClusterNodePool")
    assert body["scaling_group"]["image_type"] == "ContainerOS"
