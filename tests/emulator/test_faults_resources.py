"""Resources that behave badly on demand, by the official SDKs and a moved clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from alibabacloud_cs20151215 import models as cs_models
from alibabacloud_ecs20140526 import models

from emulator.app import Handle, running
from emulator.faults import Fault, NodeError, NoStock, SnapshotFailed, Stuck
from tests.conftest import INSTANT
from tests.emulator.clients import REGION, Clients, answered, clients_of
from tests.emulator.test_ack_sdk import description, modify

pytestmark = pytest.mark.slow
BOOT_S, STOP_S, UPLOAD_S = 10.0, 5.0, 100.0
LONG_S = 3600.0  # far more than anything takes that is not stuck


@pytest.fixture(scope="module")
def timed_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    settings = replace(
        INSTANT, instance_boot_s=BOOT_S, instance_stop_s=STOP_S, snapshot_upload_s=UPLOAD_S
    )
    with running(tmp_path_factory.mktemp("cloud"), settings=settings, seed="empty") as handle:
        yield handle


@pytest.fixture
def clients(timed_cloud: Handle) -> Iterator[Clients]:
    yield clients_of(timed_cloud)
    timed_cloud.faults.clear()


class Watched:
    """What the SDKs tell of one instance and of what belongs to it."""

    def __init__(self, clients: Clients, instance_id: str) -> None:
        self.clients = clients
        self.instance_id = instance_id

    def shown(self) -> Any:
        request = models.DescribeInstancesRequest(
            region_id=REGION, instance_ids=json.dumps([self.instance_id])
        )
        found = self.clients.ecs.describe_instances(request).body.instances.instance
        return found[0] if found else None

    def status(self) -> str:
        shown = self.shown()
        return shown.status if shown else "gone"

    def until(self, status: str) -> None:
        self.clients.handle.run_until(lambda: self.status() == status)

    def stays(self, status: str) -> None:
        self.clients.handle.advance(LONG_S)
        assert self.status() == status

    def disk(self) -> Any:
        request = models.DescribeDisksRequest(
            region_id=REGION, instance_id=self.instance_id, disk_type="data"
        )
        (disk,) = self.clients.ecs.describe_disks(request).body.disks.disk
        return disk

    def delete(self) -> None:
        self.clients.ecs.delete_instance(
            models.DeleteInstanceRequest(instance_id=self.instance_id, force=True)
        )
        self.until("gone")


def order(clients: Clients, **changes: Any) -> Watched:
    return Watched(clients, clients.order(**changes))


def snapshot_of(clients: Clients, disk_id: str) -> str:
    request = models.CreateSnapshotRequest(disk_id=disk_id)
    snapshot_id: str = clients.ecs.create_snapshot(request).body.snapshot_id
    return snapshot_id


def snapshot(clients: Clients, snapshot_id: str) -> Any:
    request = models.DescribeSnapshotsRequest(
        region_id=REGION, snapshot_ids=json.dumps([snapshot_id])
    )
    (found,) = clients.ecs.describe_snapshots(request).body.snapshots.snapshot
    return found


def arm(clients: Clients, fault: Fault) -> str:
    return clients.handle.faults.add(fault)


# -- stuck


@pytest.mark.parametrize("state", ["Pending", "Starting"])
def test_an_instance_is_stuck_on_its_way_up_until_the_fault_goes(
    clients: Clients, state: str
) -> None:
    fault_id = arm(clients, Stuck(resource="instance", target=f"held-{state}", state=state))
    held = order(clients, instance_name=f"held-{state}")
    free = order(clients, instance_name="free")
    free.until("Running")
    held.stays(state)
    clients.handle.faults.remove(fault_id)
    held.until("Running")
    held.delete()
    free.delete()


def test_a_stuck_stopping_instance_takes_no_call_until_the_fault_goes(clients: Clients) -> None:
    instance = order(clients)
    instance.until("Running")
    fault_id = arm(clients, Stuck(resource="instance", target=instance.instance_id))
    clients.ecs.stop_instance(models.StopInstanceRequest(instance_id=instance.instance_id))
    instance.stays("Stopping")
    with answered("IncorrectInstanceStatus", 403):
        instance.delete()
    clients.handle.faults.remove(fault_id)
    instance.until("Stopped")
    instance.delete()


@pytest.mark.parametrize("state", ["Creating", "Attaching"])
def test_a_stuck_disk_keeps_its_instance_from_starting(clients: Clients, state: str) -> None:
    fault_id = arm(clients, Stuck(resource="disk", state=state))
    instance = order(clients)
    instance.stays("Pending")
    assert instance.disk().status == state
    clients.handle.faults.remove(fault_id)
    instance.until("Running")
    assert instance.disk().status == "In_use"
    instance.delete()


def test_a_stuck_snapshot_is_never_done_until_the_fault_goes(clients: Clients) -> None:
    instance = order(clients)
    instance.until("Running")
    fault_id = arm(clients, Stuck(resource="snapshot", target=instance.disk().disk_id))
    snapshot_id = snapshot_of(clients, instance.disk().disk_id)
    clients.handle.run_until(lambda: snapshot(clients, snapshot_id).progress == "99%")
    clients.handle.advance(LONG_S)
    shown = snapshot(clients, snapshot_id)
    assert (shown.status, shown.progress, shown.available) == ("progressing", "99%", True)
    assert shown.remain_time == 1
    clients.handle.faults.remove(fault_id)
    clients.handle.run_until(lambda: snapshot(clients, snapshot_id).status == "accomplished")
    instance.delete()


@pytest.mark.parametrize("state", ["initial", "scaling"])
def test_a_stuck_pool_keeps_its_task_running_until_the_fault_goes(
    clients: Clients, state: str
) -> None:
    fault_id = arm(clients, Stuck(resource="node_pool", target="accel", state=state))
    pool_id, task_id = new_pool(clients)
    clients.handle.advance(LONG_S)
    assert pool_state(clients, pool_id) == state
    assert task(clients, task_id).state == "running"
    clients.handle.faults.remove(fault_id)
    ended(clients, task_id, "success")
    delete_pool(clients, pool_id)


# -- snapshots


def test_a_snapshot_fails_at_a_part_of_its_upload(clients: Clients) -> None:
    instance = order(clients)
    instance.until("Running")
    disk_id = instance.disk().disk_id
    arm(clients, SnapshotFailed(target=disk_id, at_percent=37))
    snapshot_id = snapshot_of(clients, disk_id)
    clients.handle.run_until(lambda: snapshot(clients, snapshot_id).available)
    clients.handle.run_until(lambda: snapshot(clients, snapshot_id).status == "failed")
    shown = snapshot(clients, snapshot_id)
    assert (shown.progress, shown.available, shown.remain_time) == ("37%", False, 0)
    clients.handle.advance(LONG_S)
    assert snapshot(clients, snapshot_id).progress == "37%"
    stored = clients.handle.state_dir / "paper" / "snapshots" / snapshot_id
    clients.handle.run_until(lambda: not stored.exists())
    again = snapshot_of(clients, disk_id)  # the fault struck once
    clients.handle.run_until(lambda: snapshot(clients, again).status == "accomplished")
    clients.ecs.delete_snapshot(models.DeleteSnapshotRequest(snapshot_id=snapshot_id))
    instance.delete()


# -- stock


@pytest.mark.parametrize("code", ["OperationDenied.NoStock", "Zone.NotOnSale"])
def test_a_type_without_stock_is_not_sold_and_its_token_not_used_up(
    clients: Clients, code: Any
) -> None:
    arm(clients, NoStock(target=clients.handle.facts["instance_type"], code=code))
    with answered(code, 403):
        clients.order(client_token=f"stock-{code}")
    instance = order(clients, client_token=f"stock-{code}")
    instance.until("Running")
    instance.delete()


def test_a_pool_takes_its_next_type_and_fails_when_none_is_left(clients: Clients) -> None:
    arm(clients, NoStock(target="ecs.c7.large", times=0))
    everything = arm(clients, NoStock(target="*", times=2))  # one node, two types
    types = ["ecs.c7.large", "ecs.c7.xlarge"]
    pool_id, task_id = new_pool(clients, instance_types=types)
    ended(clients, task_id, "fail")
    assert "OperationDenied.NoStock" in task(clients, task_id).error.message
    assert pool_state(clients, pool_id) == "active"
    assert nodes(clients, pool_id) == []
    clients.handle.faults.remove(everything)
    body = {"scaling_group": {"desired_size": 1}}
    answer = modify(clients.cs, clients.cluster, pool_id, body)
    ended(clients, answer["task_id"], "success")
    assert [node.instance_type for node in nodes(clients, pool_id)] == ["ecs.c7.xlarge"]
    delete_pool(clients, pool_id)


# -- nodes


def test_a_node_fails_with_its_message_and_so_does_the_task(clients: Clients) -> None:
    arm(clients, NodeError(target="accel", message="the runtime did not start"))
    pool_id, task_id = new_pool(clients, desired_size=2)
    ended(clients, task_id, "fail")
    assert "the runtime did not start" in task(clients, task_id).error.message
    failed, running = sorted(nodes(clients, pool_id), key=lambda node: node.state)
    assert (failed.state, failed.error_message) == ("failed", "the runtime did not start")
    assert (failed.node_status, failed.instance_status) == ("NotReady", "Running")
    assert (running.state, running.node_status) == ("running", "Ready")
    delete_pool(clients, pool_id)


def new_pool(clients: Clients, **group: Any) -> tuple[str, str]:
    body = description(clients.handle.facts, key_pair=None, **group)
    created = clients.cs.create_cluster_node_pool(clients.cluster, body).body
    return created.nodepool_id, created.task_id


def pool_state(clients: Clients, pool_id: str) -> str:
    detail = clients.cs.describe_cluster_node_pool_detail(clients.cluster, pool_id).body
    state: str = detail.status.state
    return state


def nodes(clients: Clients, pool_id: str) -> list[Any]:
    request = cs_models.DescribeClusterNodesRequest(nodepool_id=pool_id)
    found: list[Any] = clients.cs.describe_cluster_nodes(clients.cluster, request).body.nodes
    return found


def task(clients: Clients, task_id: str) -> Any:
    return clients.cs.describe_task_info(task_id).body


def ended(clients: Clients, task_id: str, state: str) -> None:
    clients.handle.run_until(lambda: task(clients, task_id).state != "running")
    assert task(clients, task_id).state == state


def delete_pool(clients: Clients, pool_id: str) -> None:
    request = cs_models.DeleteClusterNodepoolRequest(force=True)
    ended(
        clients,
        clients.cs.delete_cluster_nodepool(clients.cluster, pool_id, request).body.task_id,
        "success",
    )
