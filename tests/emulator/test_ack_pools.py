"""Node pools: what is refused, their states, and the nodes behind them."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator.kube.errors import KubeError
from tests.emulator.world import BOOT_S, PUBLIC_KEY, SETTINGS, TASK_S, World, refused


async def test_a_new_pool_is_scaling_until_its_nodes_are_ready(world: World) -> None:
    created = world.create_pool(desired_size=2)
    pool_id = created["nodepool_id"]
    assert world.detail(pool_id)["status"]["state"] == "scaling"
    assert world.task(created["task_id"])["state"] == "running"
    await world.move(0)
    await world.move(TASK_S)
    assert [node["state"] for node in world.nodes(pool_id)] == ["initial", "initial"]
    await world.settle()
    status = world.detail(pool_id)["status"]
    assert (status["state"], status["total_nodes"], status["healthy_nodes"]) == ("active", 2, 2)
    task = world.task(created["task_id"])
    assert (task["state"], task["task_result"][0]["status"]) == ("success", "success")


async def test_a_node_is_described_from_instance_and_kubernetes(world: World) -> None:
    (node,) = world.nodes(await world.pool(desired_size=1))
    assert node["node_status"] == "Ready"
    assert node["state"] == "running"
    assert node["instance_status"] == "Running"
    assert node["creation_time"].endswith("+08:00")
    assert node["node_name"] == f"cn-hangzhou.{node['ip_address'][0]}"
    assert node["error_message"] == ""


async def test_a_machine_gets_all_that_it_needs_to_join(world: World) -> None:
    world.ecs("ImportKeyPair", RegionId="cn-hangzhou", KeyPairName="kp", PublicKeyBody=PUBLIC_KEY)
    snapshot_id = await world.accomplished()
    body = world.description(
        key_pair="kp",
        desired_size=1,
        tags=[{"key": "run", "value": "r"}],
        data_disks=[
            {"category": "cloud_essd", "size": 50},
            {"category": "cloud_essd", "size": 40, "snapshot_id": snapshot_id},
        ],
    )
    body["kubernetes_config"] = {
        "pre_user_data": base64.b64encode(b"touch /var/.skip-yum").decode(),
        "user_data": base64.b64encode(b"echo joined").decode(),
        "labels": [{"key": "arm", "value": "preloaded"}],
        "taints": [{"key": "only", "value": "x", "effect": "NoSchedule"}],
        "unschedulable": True,
    }
    pool_id = world.ack("CreateClusterNodePool", world.pools(), body)["nodepool_id"]
    await world.settle()
    (node,) = world.nodes(pool_id)
    spec = world.machines.specs[node["instance_id"]]
    assert spec.authorized_keys == (PUBLIC_KEY,)
    assert spec.pre_user_data == b"touch /var/.skip-yum"
    assert spec.user_data == b"echo joined"
    assert [(disk.device, disk.size_gib) for disk in spec.disks] == [
        ("/dev/vdb", 50),
        ("/dev/vdc", 40),
    ]
    assert world.machines.disks[spec.disks[1].disk_id] == snapshot_id
    join = spec.node
    assert join is not None
    assert join.labels == {"alibabacloud.com/nodepool-id": pool_id, "arm": "preloaded"}
    assert join.taints == ({"key": "only", "value": "x", "effect": "NoSchedule"},)
    assert join.unschedulable
    assert join.runtime_version == world.detail(pool_id)["kubernetes_config"]["runtime_version"]
    for resource in (world.cloud.instances, world.cloud.disks):
        owned = [each for each in resource.values() if each.tags.get("run") == "r"]
        assert owned, "the pool's tags are missing"


async def test_a_pool_without_nodes_becomes_active(world: World) -> None:
    pool_id = await world.pool(desired_size=0)
    assert world.detail(pool_id)["status"] == {
        "state": "active",
        "total_nodes": 0,
        "healthy_nodes": 0,
        "serving_nodes": 0,
        "initial_nodes": 0,
        "failed_nodes": 0,
        "removing_nodes": 0,
        "offline_nodes": 0,
        "conditions": [],
    }


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    part, _, key = path.partition(".")
    inner = dict(body.get(part, {}))
    if value is None:
        inner.pop(key, None)
    else:
        inner[key] = value
    return {**body, part: inner}


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("nodepool_info.name", None, "MissingParameter"),
        ("nodepool_info.name", "-x", "InvalidParameter"),
        ("nodepool_info.name", 7, "InvalidParameter"),
        ("nodepool_info.type", "edge", "EmulatorUnsupported"),
        ("nodepool_info.nonsense", "x", "InvalidParameter"),
        ("scaling_group.vswitch_ids", None, "MissingParameter"),
        ("scaling_group.vswitch_ids", [], "MissingParameter"),
        ("scaling_group.vswitch_ids", ["vsw-unknown"], "InvalidParameter"),
        ("scaling_group.vswitch_ids", "vsw-1", "InvalidParameter"),
        ("scaling_group.security_group_ids", ["sg-unknown"], "InvalidParameter"),
        ("scaling_group.instance_types", None, "MissingParameter"),
        ("scaling_group.instance_types", ["ecs.t1.small"], "InvalidParameter.InstanceType"),
        ("scaling_group.instance_charge_type", None, "MissingParameter"),
        ("scaling_group.instance_charge_type", "PrePaid", "EmulatorUnsupported"),
        ("scaling_group.instance_charge_type", "Barter", "InvalidParameter"),
        ("scaling_group.image_type", "Windows", "EmulatorUnsupported"),
        ("scaling_group.image_type", "TempleOS", "InvalidParameter"),
        ("scaling_group.key_pair", "unknown", "InvalidParameter"),
        ("scaling_group.login_password", "Secret-1234", "EmulatorUnsupported"),
        ("scaling_group.desired_size", "1", "InvalidParameter"),
        ("scaling_group.desired_size", True, "InvalidParameter"),
        ("scaling_group.desired_size", -1, "InvalidParameter"),
        ("scaling_group.desired_size", 101, "QuotaExceeded.Node"),
        ("scaling_group.system_disk_size", 39, "InvalidParameter"),
        ("scaling_group.data_disks", [{"size": 40}], "MissingParameter"),
        ("scaling_group.data_disks", [{"category": "cloud_essd", "size": 39}], "InvalidParameter"),
        ("scaling_group.data_disks", [{"category": "floppy"}], "InvalidParameter"),
        ("scaling_group.data_disks", [7], "InvalidParameter"),
        (
            "scaling_group.data_disks",
            [{"category": "cloud_essd", "snapshot_id": "s-unknown"}],
            "InvalidSnapshotId.NotFound",
        ),
        (
            "scaling_group.data_disks",
            [{"category": "cloud_essd", "file_system": "xfs"}],
            "EmulatorUnsupported",
        ),
        ("scaling_group.data_disks", [{"category": "cloud_essd", "x": 1}], "InvalidParameter"),
        ("scaling_group.disk_init", [{"disk_name": "d"}], "EmulatorUnsupported"),
        ("scaling_group.tags", [{"value": "x"}], "MissingParameter"),
        ("scaling_group.spot_strategy", "SpotAsPriceGo", "EmulatorUnsupported"),
        ("kubernetes_config.runtime", "docker", "EmulatorUnsupported"),
        ("kubernetes_config.runtime_version", "2.0.0", "InvalidParameter"),
        ("kubernetes_config.pre_user_data", "touch /x", "InvalidParameter"),
        ("kubernetes_config.labels", [{"key": "not a key", "value": "x"}], "InvalidParameter"),
        ("kubernetes_config.labels", [{"value": "x"}], "MissingParameter"),
        (
            "kubernetes_config.taints",
            [{"key": "k", "value": "v", "effect": "Sometimes"}],
            "InvalidParameter",
        ),
        ("kubernetes_config.unschedulable", "false", "InvalidParameter"),
        ("auto_scaling.enable", True, "EmulatorUnsupported"),
        ("management.enable", True, "EmulatorUnsupported"),
        ("node_config.kubelet_configuration", {"maxPods": 10}, "EmulatorUnsupported"),
        ("nonsense.x", 1, "InvalidParameter"),
    ],
    ids=str,
)
async def test_create_refuses(world: World, path: str, value: Any, code: str) -> None:
    body = changed(world.description(), path, value)
    with refused(code):
        world.ack("CreateClusterNodePool", world.pools(), body)
    assert not world.cloud.node_pools


async def test_the_empty_lists_that_the_sdk_sends_are_accepted(world: World) -> None:
    names = ("disk_init", "instance_patterns", "spot_price_limit", "tags")
    empty: dict[str, Any] = {name: [] for name in names}
    await world.pool(desired_size=0, **empty)


async def test_a_name_is_used_once_in_a_cluster(world: World) -> None:
    await world.pool("accel")
    with refused("InvalidParameter.Name", 400):
        world.create_pool("accel")
    other = await world.pool("other")
    with refused("InvalidParameter.Name", 400):
        path = f"{world.pools()}/{other}"
        world.ack("ModifyClusterNodePool", path, {"nodepool_info": {"name": "accel"}})


async def test_a_cluster_has_so_many_pools_and_nodes(tmp_path: Path) -> None:
    world = World(tmp_path, replace(SETTINGS, max_node_pools=2, max_nodes=3))
    await world.pool("one", desired_size=2)
    pool_id = await world.pool("two", desired_size=1)
    with refused("QuotaExceeded.NodePool"):
        world.create_pool("three")
    with refused("QuotaExceeded.Node"):
        world.modify(pool_id, desired_size=2)
    with refused("QuotaExceeded.Node"):
        world.ack("ScaleClusterNodePool", f"{world.pools()}/{pool_id}", {"count": 1})
    await world.cloud.close()


async def test_a_pool_in_transition_refuses_every_change(world: World) -> None:
    pool_id = world.create_pool(desired_size=1)["nodepool_id"]
    path = f"{world.pools()}/{pool_id}"
    with refused("InvalidStatus.Forbidden", 400):
        world.modify(pool_id, desired_size=0)
    with refused("InvalidStatus.Forbidden", 400):
        world.ack("ScaleClusterNodePool", path, {"count": 1})
    with refused("InvalidStatus.Forbidden", 400):
        world.ack("DeleteClusterNodepool", path, force="True")
    with refused("InvalidStatus.Forbidden", 400):
        world.ack("RemoveNodePoolNodes", f"{path}/nodes", instance_ids='["i-1"]')


async def test_scale_adds_and_modify_sets(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    task = world.ack("ScaleClusterNodePool", f"{world.pools()}/{pool_id}", {"count": 2})
    await world.settle()
    assert world.detail(pool_id)["scaling_group"]["desired_size"] == 3
    assert world.task(task["task_id"])["task_type"] == "cluster_scaleout"
    oldest = world.nodes(pool_id)[0]["instance_id"]
    world.modify(pool_id, desired_size=1)
    assert world.detail(pool_id)["status"]["state"] == "removing"
    await world.settle()
    assert [node["instance_id"] for node in world.nodes(pool_id)] == [oldest]
    assert len(world.cloud.instances) == 1
    assert len(world.kube.store.list("nodes")) == 1


@pytest.mark.parametrize("body", [{}, {"count": 0}, {"count": 501}, {"count": "1"}], ids=str)
async def test_scale_wants_a_number_of_nodes(world: World, body: Any) -> None:
    pool_id = await world.pool()
    with refused("MissingParameter" if not body else "InvalidParameter"):
        world.ack("ScaleClusterNodePool", f"{world.pools()}/{pool_id}", body)


async def test_modify_keeps_what_is_not_named_and_changes_new_nodes_only(world: World) -> None:
    snapshot_id = await world.accomplished()
    pool_id = await world.pool(desired_size=1)
    disks = [{"category": "cloud_essd", "size": 40, "snapshot_id": snapshot_id}]
    task = world.modify(pool_id, data_disks=disks)
    assert world.detail(pool_id)["status"]["state"] == "updating"
    await world.settle()
    assert world.task(task["task_id"])["task_type"] == "nodepool_update"
    assert world.detail(pool_id)["scaling_group"]["data_disks"] == disks
    assert world.detail(pool_id)["scaling_group"]["desired_size"] == 1
    assert snapshot_id not in world.machines.disks.values()
    world.modify(pool_id, desired_size=2)
    await world.settle()
    assert list(world.machines.disks.values()).count(snapshot_id) == 1


async def test_modify_with_the_sdks_empty_disk_list_is_refused(world: World) -> None:
    pool_id = await world.pool()
    with refused("EmulatorUnsupported"):
        world.modify(pool_id, desired_size=1, data_disks=[])


async def test_a_pool_with_nodes_is_deleted_by_force_only(world: World) -> None:
    pool_id = await world.pool(desired_size=2)
    path = f"{world.pools()}/{pool_id}"
    with refused("NodePoolNotEmpty", 400):
        world.ack("DeleteClusterNodepool", path)
    task = world.ack("DeleteClusterNodepool", path, force="True")
    assert world.detail(pool_id)["status"]["state"] == "deleting"
    await world.settle()
    assert world.task(task["task_id"])["state"] == "success"
    with refused("ErrorNodePoolNotFound", 404):
        world.detail(pool_id)
    assert not world.cloud.instances
    assert not world.cloud.disks
    assert not world.machines.disks
    assert not world.kube.store.list("nodes")


async def test_an_empty_pool_is_deleted_without_force(world: World) -> None:
    pool_id = await world.pool(desired_size=0)
    world.ack("DeleteClusterNodepool", f"{world.pools()}/{pool_id}")
    await world.settle()
    assert not world.cloud.node_pools


async def test_named_nodes_are_removed_with_all_that_is_theirs(world: World) -> None:
    pool_id = await world.pool(desired_size=2)
    first, second = (node["instance_id"] for node in world.nodes(pool_id))
    path = f"{world.pools()}/{pool_id}/nodes"
    gone = f'["{first}"]'
    with refused("InvalidParameter.InstanceIds"):
        world.ack("RemoveNodePoolNodes", path, instance_ids='["i-x"]', release_node="True")
    with refused("InvalidParameter"):
        world.ack("RemoveNodePoolNodes", path, release_node="True")
    with refused("InvalidParameter"):
        world.ack("RemoveNodePoolNodes", path, instance_ids=first, release_node="True")
    with refused("EmulatorUnsupported"):
        world.ack("RemoveNodePoolNodes", path, instance_ids=gone)
    with refused("EmulatorUnsupported"):
        world.ack("RemoveNodePoolNodes", path, nodes='["x"]', release_node="True")
    world.ack("RemoveNodePoolNodes", path, instance_ids=gone, release_node="True")
    assert world.detail(pool_id)["status"]["state"] == "removing"
    await world.settle()
    assert [node["instance_id"] for node in world.nodes(pool_id)] == [second]
    assert world.detail(pool_id)["scaling_group"]["desired_size"] == 1
    assert list(world.cloud.instances) == [second]


@pytest.mark.parametrize("step", ["create disk", "start", "address"])
async def test_a_node_whose_machine_fails_fails_the_task_and_says_why(
    world: World, step: str
) -> None:
    world.machines.fails.add(step)
    created = world.create_pool(desired_size=1)
    await world.settle()
    task = world.task(created["task_id"])
    assert task["state"] == "fail"
    assert (f"{step} failed on purpose" in task["error"]["message"]) or step == "address"
    assert world.detail(created["nodepool_id"])["status"]["state"] == "active"
    for node in world.nodes(created["nodepool_id"]):
        assert (node["state"], node["instance_status"]) == ("failed", "")
        assert step in node["error_message"]
    assert not world.cloud.instances
    assert not world.cloud.disks


async def test_a_failed_node_goes_first_and_a_pool_can_recover(world: World) -> None:
    world.machines.fails.add("start")
    pool_id = await world.pool(desired_size=1)
    world.machines.fails.clear()
    world.ack("ScaleClusterNodePool", f"{world.pools()}/{pool_id}", {"count": 1})
    await world.settle()
    assert sorted(node["state"] for node in world.nodes(pool_id)) == ["failed", "running"]
    world.modify(pool_id, desired_size=1)
    await world.settle()
    assert [node["state"] for node in world.nodes(pool_id)] == ["running"]


async def test_a_node_that_never_gets_ready_fails_at_its_deadline(world: World) -> None:
    world.machines.nodes_join = False
    created = world.create_pool(desired_size=1)
    await world.settle()
    assert world.task(created["task_id"])["state"] == "running"
    await world.move(SETTINGS.node_join_within_s)
    assert world.task(created["task_id"])["state"] == "fail"
    (node,) = world.nodes(created["nodepool_id"])
    assert (node["state"], node["node_status"]) == ("failed", "NotReady")
    assert "did not become Ready" in node["error_message"]
    assert node["instance_status"] == "Running", "the machine stays, to be looked at"


async def test_a_node_that_cannot_be_released_fails_the_task_and_stays(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    world.machines.fails.add("destroy")
    task = world.modify(pool_id, desired_size=0)
    await world.settle()
    assert world.task(task["task_id"])["state"] == "fail"
    assert len(world.nodes(pool_id)) == 1
    world.machines.fails.clear()
    world.ack("DeleteClusterNodepool", f"{world.pools()}/{pool_id}", force="true")
    await world.settle()
    assert not world.cloud.instances


async def test_a_node_whose_instance_is_released_by_ecs_leaves_kubernetes(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    (node,) = world.nodes(pool_id)
    world.ecs("DeleteInstance", InstanceId=node["instance_id"], Force="True")
    await world.settle()
    with pytest.raises(KubeError):
        world.kube.store.get("nodes", None, node["node_name"])
    (left,) = world.nodes(pool_id)
    assert (left["state"], left["error_message"]) == ("failed", "its instance was released")


async def test_a_younger_node_of_the_same_name_is_left_alone(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    (node,) = world.nodes(pool_id)
    world.kube.store.delete("nodes", None, node["node_name"])
    world.machines.add_node(node["node_name"], "i-younger")
    world.modify(pool_id, desired_size=0)
    await world.settle()
    assert world.kube.store.get("nodes", None, node["node_name"])


async def test_a_removed_node_can_no_longer_write(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    spec = world.machines.specs[world.nodes(pool_id)[0]["instance_id"]]
    assert spec.node is not None
    assert spec.node.token in world.kube.tokens
    world.modify(pool_id, desired_size=0)
    await world.settle()
    assert spec.node.token not in world.kube.tokens


async def test_nodes_come_in_pages_and_by_what_they_are(world: World) -> None:
    pool_id = await world.pool(desired_size=12)
    everything = world.nodes(pool_id, pageSize=100)
    assert len(everything) == 12
    assert len(world.nodes(pool_id)) == 10
    assert world.nodes(pool_id, pageNumber=2, pageSize=5) == everything[5:10]
    two = ",".join(node["instance_id"] for node in everything[:2])
    assert world.nodes(pool_id, instanceIds=two) == everything[:2]
    assert world.nodes(pool_id, nodeNames=everything[3]["node_name"]) == [everything[3]]
    assert world.nodes(pool_id, nodeIps=everything[4]["ip_address"][0]) == [everything[4]]
    assert world.nodes(pool_id, state="failed") == []
    for query in ({"pageSize": 101}, {"pageNumber": 0}, {"state": "odd"}, {"pageSize": "x"}):
        with refused("InvalidParameter"):
            world.nodes(pool_id, **query)
    with refused("ErrorNodePoolNotFound", 404):
        world.nodes("np-unknown")


async def test_an_instance_boots_once_the_task_has_begun(world: World) -> None:
    world.create_pool(desired_size=1)
    await world.move(0)
    assert not world.cloud.instances
    await world.move(TASK_S)
    assert len(world.cloud.instances) == 1
    await world.move(BOOT_S)
    assert [each.status for each in world.cloud.instances.values()] == ["Running"]


async def test_an_empty_parameter_counts_as_absent(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    assert len(world.nodes(pool_id, pageNumber="", state="")) == 1


async def test_a_node_that_ecs_is_releasing_already_is_waited_for(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    (node,) = world.nodes(pool_id)
    world.machines.held["destroy"] = held = asyncio.Event()
    world.ecs("DeleteInstance", InstanceId=node["instance_id"], Force="True")
    task = world.modify(pool_id, desired_size=0)
    await world.settle()
    assert world.task(task["task_id"])["state"] == "running"
    held.set()
    await world.settle()
    assert world.task(task["task_id"])["state"] == "success"
    assert world.nodes(pool_id) == []
