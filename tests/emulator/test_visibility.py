"""Reads that lag behind writes, as ``read_delay_s`` makes them, by the official SDKs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alibabacloud_cs20151215 import models as cs_models
from alibabacloud_ecs20140526 import models

from emulator.app import Handle, running
from tests.conftest import INSTANT
from tests.emulator.clients import REGION, Clients, answered, clients_of
from tests.emulator.test_ack_sdk import description
from tests.emulator.world import PUBLIC_KEY

pytestmark = pytest.mark.slow
LAG_S = 30.0


@pytest.fixture(scope="module")
def lagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    settings = replace(INSTANT, read_delay_s=LAG_S)
    with running(tmp_path_factory.mktemp("cloud"), settings=settings) as handle:
        yield handle


@pytest.fixture
def clients(lagging: Handle) -> Clients:
    lagging.advance(LAG_S)  # what the test before made and deleted is settled
    return clients_of(lagging)


def import_key(clients: Clients, name: str) -> None:
    request = models.ImportKeyPairRequest(
        region_id=REGION, key_pair_name=name, public_key_body=PUBLIC_KEY
    )
    clients.ecs.import_key_pair(request)


def test_the_seed_is_seen_at_once(tmp_path: Path) -> None:
    settings = replace(INSTANT, read_delay_s=3600)
    with running(tmp_path / "cloud", settings=settings) as handle:
        clients = clients_of(handle)
        assert clients.pools() == ["system"]
        assert clients.key_pairs() == ["demo-nodes"]
        assert len(clients.instances()) == 1


def test_an_instance_and_its_disk_are_seen_later_and_gone_later(clients: Clients) -> None:
    before, disks = clients.instances(), clients.disks()
    instance_id = clients.order()
    assert clients.instances() == before
    assert clients.disks() == disks
    calls: tuple[Callable[[], object], ...] = (
        lambda: clients.ecs.stop_instance(models.StopInstanceRequest(instance_id=instance_id)),
        lambda: clients.ecs.delete_instance(
            models.DeleteInstanceRequest(instance_id=instance_id, force=True)
        ),
        lambda: clients.ecs.describe_instance_status(
            models.DescribeInstanceStatusRequest(region_id=REGION, instance_id=[instance_id])
        ),
    )
    for call in calls:
        with answered("InvalidInstanceId.NotFound"):
            call()
    clients.handle.advance(LAG_S)
    assert clients.instances() == [*before, instance_id]
    assert len(clients.disks()) == len(disks) + 1
    request = models.DeleteInstanceRequest(instance_id=instance_id, force=True)
    clients.handle.run_until(lambda: status(clients, instance_id) == "Running")
    clients.ecs.delete_instance(request)
    clients.handle.run_until(lambda: instance_id not in clients.handle.cloud.instances, step_s=0)
    assert instance_id in clients.instances()
    with answered("InvalidInstanceId.NotFound"):
        clients.ecs.delete_instance(request)
    clients.handle.advance(LAG_S)
    assert clients.instances() == before
    assert clients.disks() == disks


def status(clients: Clients, instance_id: str) -> str:
    return str(clients.handle.cloud.instances[instance_id].status)


def test_a_snapshot_is_seen_later_and_gone_later(clients: Clients) -> None:
    disk_id = clients.disks()[0]
    request = models.CreateSnapshotRequest(disk_id=disk_id, client_token="token-1")
    snapshot_id = clients.ecs.create_snapshot(request).body.snapshot_id
    assert clients.ecs.create_snapshot(request).body.snapshot_id == snapshot_id
    ids = json.dumps([snapshot_id])
    assert clients.snapshots() == clients.snapshots(snapshot_ids=ids) == []
    delete = models.DeleteSnapshotRequest(snapshot_id=snapshot_id)
    with answered("InvalidSnapshotId.NotFound"):
        clients.ecs.delete_snapshot(delete)
    clients.handle.advance(LAG_S)
    assert clients.snapshots() == clients.snapshots(snapshot_ids=ids) == [snapshot_id]
    clients.ecs.delete_snapshot(delete)
    assert clients.snapshots() == [snapshot_id]
    with answered("InvalidSnapshotId.NotFound"):
        clients.ecs.delete_snapshot(delete)
    clients.handle.advance(LAG_S)
    assert clients.snapshots() == []


def test_a_key_pair_is_seen_later_and_its_name_is_taken_at_once(clients: Clients) -> None:
    before = clients.key_pairs()
    import_key(clients, "late")
    assert clients.key_pairs() == before
    with answered("KeyPair.AlreadyExist"):
        import_key(clients, "late")
    with answered("InvalidKeyPairName.NotFound"):
        clients.order(key_pair_name="late")
    request = models.DeleteKeyPairsRequest(region_id=REGION, key_pair_names='["late"]')
    clients.ecs.delete_key_pairs(request)  # knows no such name yet, and says nothing
    clients.handle.advance(LAG_S)
    assert clients.key_pairs() == [*before, "late"]
    clients.ecs.delete_key_pairs(request)
    assert clients.key_pairs() == [*before, "late"]
    clients.handle.advance(LAG_S)
    assert clients.key_pairs() == before


def test_a_pool_and_its_task_are_seen_later_and_its_name_is_taken_at_once(
    clients: Clients,
) -> None:
    cs, cluster = clients.cs, clients.cluster
    body = description(clients.handle.facts, desired_size=0)
    created = cs.create_cluster_node_pool(cluster, body).body
    pool_id = created.nodepool_id
    reads: dict[str, Callable[[], object]] = {
        "ErrorNodePoolNotFound": lambda: cs.describe_cluster_node_pool_detail(cluster, pool_id),
        "ErrorTaskNotFound": lambda: cs.describe_task_info(created.task_id),
    }
    assert "accel" not in clients.pools()
    for code, read in reads.items():
        with answered(code):
            read()
    force = cs_models.DeleteClusterNodepoolRequest(force=True)
    with answered("ErrorNodePoolNotFound"):
        cs.delete_cluster_nodepool(cluster, pool_id, force)
    with answered("InvalidParameter.Name"):
        cs.create_cluster_node_pool(cluster, body)
    clients.handle.advance(LAG_S)
    assert "accel" in clients.pools()
    for read in reads.values():
        read()
    cs.delete_cluster_nodepool(cluster, pool_id, force)
    clients.handle.run_until(lambda: pool_id not in clients.handle.cloud.node_pools, step_s=0)
    detail = cs.describe_cluster_node_pool_detail(cluster, pool_id).body
    assert detail.status.state == "deleting"
    clients.handle.advance(LAG_S)
    with answered("ErrorNodePoolNotFound"):
        cs.describe_cluster_node_pool_detail(cluster, pool_id)
