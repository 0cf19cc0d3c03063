"""A valid call of every emulated ACK action, in a world that has what the call names."""

from __future__ import annotations

import json
from typing import Any

from tests.emulator.fuzz_line import ACK, Wire
from tests.emulator.fuzz_valid import MAKERS, NUMBERS, Valid, valid
from tests.emulator.world import World

__all__ = ["MAKERS"]


def ack(
    action: str,
    method: str,
    path: str,
    *,
    query: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
    extras: dict[str, Any] | None = None,
) -> Valid:
    return Valid(Wire(action, ACK, method, path), query or {}, body, extras or {})


@valid("DescribeClustersV1")
async def describe_clusters(world: World) -> Valid:
    extras = {"page_size": "10", "page_number": "1", "name": "demo", "region_id": "cn-hangzhou"}
    return ack("DescribeClustersV1", "GET", "/api/v1/clusters", extras=extras)


@valid("DescribeClusterDetail")
async def describe_cluster(world: World) -> Valid:
    return ack("DescribeClusterDetail", "GET", f"/clusters/{world.cluster}")


@valid("ListClusterAddonInstances")
async def list_addons(world: World) -> Valid:
    path = f"/clusters/{world.cluster}/addon_instances"
    return ack("ListClusterAddonInstances", "GET", path)


@valid("DescribeClusterUserKubeconfig")
async def kubeconfig(world: World) -> Valid:
    extras = {"TemporaryDurationMinutes": "60", "PrivateIpAddress": "true"}
    path = f"/k8s/{world.cluster}/user_config"
    return ack("DescribeClusterUserKubeconfig", "GET", path, extras=extras)


@valid("DescribeClusterNodePools")
async def describe_pools(world: World) -> Valid:
    extras = {"NodepoolName": "accel"}
    return ack("DescribeClusterNodePools", "GET", world.pools(), extras=extras)


@valid("DescribeClusterNodes")
async def describe_nodes(world: World) -> Valid:
    extras = {"pageSize": "50", "pageNumber": "1", "state": "all", "instanceIds": "i-1,i-2"}
    return ack("DescribeClusterNodes", "GET", f"/clusters/{world.cluster}/nodes", extras=extras)


async def pool_path(world: World, **group: Any) -> str:
    return f"{world.pools()}/{await world.pool(f'pool-{next(NUMBERS)}', **group)}"


async def emptied(world: World) -> None:
    """Delete every pool: a cluster may have twenty."""
    for pool in list(world.cloud.node_pools.values()):
        path = f"{world.pools()}/{pool.node_pool_id}"
        world.ack("DeleteClusterNodepool", path, force=True)
    await world.settle()


@valid("DescribeClusterNodePoolDetail")
async def describe_pool(world: World) -> Valid:
    await emptied(world)
    return ack("DescribeClusterNodePoolDetail", "GET", await pool_path(world))


@valid("DescribeTaskInfo")
async def describe_task(world: World) -> Valid:
    await emptied(world)
    task_id = world.create_pool(f"pool-{next(NUMBERS)}")["task_id"]
    await world.settle()
    return ack("DescribeTaskInfo", "GET", f"/tasks/{task_id}")


GROUP = {
    "image_type": "AliyunLinux3",
    "system_disk_size": 120,
    "system_disk_category": "cloud_essd",
}
CONFIG = {
    "runtime": "containerd",
    "unschedulable": False,
    "pre_user_data": "dG91Y2gK",
    "labels": [{"key": "a", "value": "b"}],
    "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}],
}


@valid("CreateClusterNodePool")
async def create_pool(world: World) -> Valid:
    await emptied(world)
    name = f"pool-{next(NUMBERS)}"
    tags = [{"key": "run", "value": "r"}]
    body = world.description(name, desired_size=1, tags=tags, **GROUP)
    extras = {
        "kubernetes_config": CONFIG,
        "auto_scaling": {"enable": False},
        "management": {"enable": False},
    }
    return ack("CreateClusterNodePool", "POST", world.pools(), body=body, extras=extras)


@valid("ModifyClusterNodePool")
async def modify_pool(world: World) -> Valid:
    await emptied(world)
    body = {"scaling_group": {"desired_size": 1, **GROUP}}
    extras = {"kubernetes_config": CONFIG, "update_nodes": False}
    path = await pool_path(world)
    return ack("ModifyClusterNodePool", "PUT", path, body=body, extras=extras)


@valid("ScaleClusterNodePool")
async def scale_pool(world: World) -> Valid:
    await emptied(world)
    return ack("ScaleClusterNodePool", "POST", await pool_path(world), body={"count": 1})


@valid("DeleteClusterNodepool")
async def delete_pool(world: World) -> Valid:
    extras = {"force": "True"}
    return ack("DeleteClusterNodepool", "DELETE", await pool_path(world), extras=extras)


@valid("RemoveNodePoolNodes")
async def remove_nodes(world: World) -> Valid:
    await emptied(world)
    path = await pool_path(world, desired_size=1)
    (node,) = world.nodes(path.rpartition("/")[2])
    query = {"instance_ids": json.dumps([node["instance_id"]]), "release_node": "True"}
    extras = {"drain_node": "False"}
    return ack("RemoveNodePoolNodes", "DELETE", f"{path}/nodes", query=query, extras=extras)
