"""The nodes of a pool: what they are made from, how they fail, and how they go."""

from __future__ import annotations

import asyncio
import base64

import pytest

from emulator.kube.controllers import NodeMonitor
from emulator.kube.errors import KubeError
from tests.emulator.world import BOOT_S, PUBLIC_KEY, SETTINGS, STOP_S, TASK_S, World, refused


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


async def test_a_pool_whose_key_pair_was_deleted_gets_no_nodes(world: World) -> None:
    world.ecs("ImportKeyPair", RegionId="cn-hangzhou", KeyPairName="kp", PublicKeyBody=PUBLIC_KEY)
    pool_id = await world.pool(key_pair="kp", desired_size=0)
    world.ecs("DeleteKeyPairs", RegionId="cn-hangzhou", KeyPairNames='["kp"]')
    task = world.modify(pool_id, desired_size=1)
    await world.settle()
    ended = world.task(task["task_id"])
    assert ended["state"] == "fail"
    assert ended["error"]["message"].startswith("InvalidKeyPairName.NotFound")
    assert "kp" in ended["error"]["message"]
    assert not world.cloud.instances


async def test_a_stopped_node_is_shown_as_stopped_and_then_as_silent(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    (node,) = world.nodes(pool_id)
    monitor = NodeMonitor(world.kube.store, grace_s=40)
    monitor.look(0)
    states = []
    for action, seconds in (("StopInstance", STOP_S), ("StartInstance", BOOT_S)):
        world.ecs(action, InstanceId=node["instance_id"])
        states.append(world.nodes(pool_id)[0]["state"])
        await world.move(0)
        await world.move(seconds)
        states.append(world.nodes(pool_id)[0]["state"])
        if action == "StopInstance":
            monitor.look(41)
            assert world.nodes(pool_id)[0]["node_status"] == "Unknown"
            status = world.detail(pool_id)["status"]
            assert (status["healthy_nodes"], status["offline_nodes"]) == (0, 1)
            assert world.nodes(pool_id, state="running") == []
    assert states == ["stopping", "stopped", "starting", "running"]
    assert world.nodes(pool_id)[0]["node_status"] == "Ready"


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
