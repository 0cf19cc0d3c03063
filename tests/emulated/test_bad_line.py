"""Lost replies, throttling and 5xx on the wire: one resource, or the right error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ack_preload.domain.errors import CloudError, CloudUnavailableError, UnclearReplyError
from ack_preload.domain.tags import RUN_KEY
from ack_preload.hooks.account import Account
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.looks import Looks
from ack_preload.operators.build_instance import (
    DeleteInstanceOperator,
    RunBuildInstanceOperator,
    StopInstanceOperator,
)
from ack_preload.operators.key_pair import DeleteKeyPairOperator, ImportKeyPairOperator
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.node_pool_end import DeleteNodePoolOperator
from ack_preload.operators.node_pool_size import ScaleNodePoolOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator
from emulator.app import Handle
from tests.emulated.bad_line import BadLine, Fault
from tests.emulated.driving import context, deferred_by, fired, perform, target

BOTH_UNCLEAR = pytest.mark.parametrize("fault", [Fault.LOST, Fault.BROKEN])


def built(cloud: Handle) -> list[Any]:
    return [i for i in cloud.cloud.instances.values() if RUN_KEY in i.tags]


def run_instance(cloud: Handle) -> RunBuildInstanceOperator:
    return RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name="demo-nodes")


def apply(cloud: Handle) -> ApplyNodePoolOperator:
    return ApplyNodePoolOperator(
        task_id="apply", target=target(cloud), pool_name="preloaded", snapshot_id=None
    )


@BOTH_UNCLEAR
def test_an_unclear_run_makes_one_instance(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    line.faults["RunInstances"] = [fault, fault]
    perform(run_instance(cloud_handle))
    assert line.actions.count("RunInstances") == 3
    assert len(built(cloud_handle)) == 1


@BOTH_UNCLEAR
def test_an_unclear_create_makes_one_node_pool_and_is_sent_once(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    line.faults["CreateClusterNodePool"] = [fault]
    made = perform(apply(cloud_handle))
    assert made["created"] is True
    assert line.actions.count("CreateClusterNodePool") == 1
    assert len(cloud_handle.cloud.node_pools) == 2


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.REFUSED])
def test_a_create_that_was_not_carried_out_is_not_taken_for_done(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    line.faults["CreateClusterNodePool"] = [fault]
    with pytest.raises((CloudError, UnclearReplyError), match=r"by the line \(request LINE-1\)"):
        perform(apply(cloud_handle))
    assert len(cloud_handle.cloud.node_pools) == 1


def test_a_throttled_create_is_sent_again(cloud_handle: Handle, line: BadLine) -> None:
    line.faults["CreateClusterNodePool"] = [Fault.THROTTLED] * 3
    assert perform(apply(cloud_handle))["created"] is True
    assert line.actions.count("CreateClusterNodePool") == 4


@BOTH_UNCLEAR
def test_an_unclear_scaling_makes_one_node(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    made = perform(apply(cloud_handle))
    line.faults["ModifyClusterNodePool"] = [fault]
    scale = ScaleNodePoolOperator(
        task_id="scale",
        cluster_id=cloud_handle.facts["cluster_id"],
        node_pool_id=made["node_pool_id"],
        desired_size=1,
    )
    assert len(perform(scale)["nodes"]) == 1


@BOTH_UNCLEAR
def test_an_unclear_deletion_of_a_pool_is_done(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    perform(apply(cloud_handle))
    line.faults["DeleteClusterNodepool"] = [fault]
    delete = DeleteNodePoolOperator(
        task_id="delete", cluster_id=cloud_handle.facts["cluster_id"], pool_name="preloaded"
    )
    perform(delete)
    assert len(cloud_handle.cloud.node_pools) == 1


@BOTH_UNCLEAR
def test_an_unclear_snapshot_is_one_snapshot(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    made = perform(run_instance(cloud_handle))
    line.faults |= {"StopInstance": [fault], "CreateSnapshot": [fault]}
    perform(StopInstanceOperator(task_id="stop", instance_id=made["instance_id"]))
    snapshot = CreateSnapshotOperator(
        task_id="snapshot",
        disk_id=made["disk_id"],
        snapshot_name="preload",
        lineage="{}",
        target=target(cloud_handle),
    )
    assert perform(snapshot) in cloud_handle.cloud.snapshots
    assert len(cloud_handle.cloud.snapshots) == 1


@BOTH_UNCLEAR
def test_an_unclear_deletion_of_an_instance_is_done(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    perform(run_instance(cloud_handle))
    line.faults["DeleteInstance"] = [fault]
    perform(DeleteInstanceOperator(task_id="delete"))
    assert not built(cloud_handle)


def import_key(cloud: Handle, line: BadLine) -> Any:
    return perform(
        ImportKeyPairOperator(task_id="k", key_pair_name="ack-preload", target=target(cloud))
    )


@BOTH_UNCLEAR
def test_an_unclear_import_is_looked_for_and_sent_once(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    line.faults["ImportKeyPair"] = [fault]
    assert import_key(cloud_handle, line) == "ack-preload"
    assert line.actions.count("ImportKeyPair") == 1
    line.faults["DeleteKeyPairs"] = [fault]
    assert perform(DeleteKeyPairOperator(task_id="d")) == ["ack-preload"]


def test_a_refused_import_is_an_error(cloud_handle: Handle, line: BadLine) -> None:
    line.faults["ImportKeyPair"] = [Fault.REFUSED]
    with pytest.raises(CloudError, match=r"Forbidden\.RAM"):
        import_key(cloud_handle, line)


def test_an_import_that_was_never_carried_out_is_an_error(
    cloud_handle: Handle, line: BadLine
) -> None:
    line.faults["ImportKeyPair"] = [Fault.DOWN]
    with pytest.raises(CloudUnavailableError):
        import_key(cloud_handle, line)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.THROTTLED, Fault.BROKEN])
def test_a_wait_goes_on_through_a_bad_line(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    waiting = deferred_by(run_instance(cloud_handle))
    line.faults["DescribeInstances"] = [fault] * 3
    assert fired(waiting)["verdict"] == "done"


def test_a_wait_that_may_not_look_ends_with_the_clouds_error(
    cloud_handle: Handle, line: BadLine
) -> None:
    operator = run_instance(cloud_handle)
    waiting = deferred_by(operator)
    line.faults["DescribeInstances"] = [Fault.REFUSED]
    with pytest.raises(CloudError, match=r"Forbidden.RAM: i-\w+: by the line"):
        operator.resume(context(), fired(waiting))


def test_looks_of_pools_tasks_and_nodes_go_on_too(cloud_handle: Handle, line: BadLine) -> None:
    made = perform(apply(cloud_handle))
    for action in ("DescribeTaskInfo", "DescribeClusterNodes", "DescribeClusterNodePools"):
        line.faults[action] = [Fault.LOST, Fault.THROTTLED, Fault.BROKEN]
    scale = ScaleNodePoolOperator(
        task_id="scale",
        cluster_id=cloud_handle.facts["cluster_id"],
        node_pool_id=made["node_pool_id"],
        desired_size=1,
    )
    assert len(perform(scale)["nodes"]) == 1


def test_loopback_is_reached_whatever_proxy_the_environment_names(
    cloud_handle: Handle, line: BadLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    pool_id, cluster_id = cloud_handle.facts["node_pool_id"], cloud_handle.facts["cluster_id"]
    assert EcsHook().instances()
    assert AckHook().node_pool(cluster_id, pool_id) is not None

    async def look() -> Any:
        return await Looks(await Account.aget()).node_pools(cluster_id, [pool_id])

    assert pool_id in asyncio.run(look())
