"""Node pools: create, describe, change, scale, delete.

https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/developer-reference/api-createclusternodepool
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.ack import scaling
from emulator.ack.actions import action
from emulator.ack.clusters import cluster_named, pools_of, pools_shown
from emulator.ack.nodes import counts
from emulator.ack.pool_rules import (
    CREATE_RULES,
    MODIFY_RULES,
    SYSTEM_DISK,
    check_pool,
    refuse_emptied,
)
from emulator.ack.resources import Cluster, NodePool, PoolState, Task
from emulator.ack.tasks import begin, beijing
from emulator.errors import BAD_REQUEST, NOT_FOUND, ApiError, invalid, unsupported
from emulator.params import ANY, Params, Rule

if TYPE_CHECKING:
    from emulator.cloud import Cloud

MAX_SCALE = 500  # nodes that one ScaleClusterNodePool may add


def pool_named(cloud: Cloud, params: Params) -> NodePool:
    """Return the pool that a call is to change."""
    return known(cloud, params, cloud.node_pools.find(params["nodepool_id"]))


def known(cloud: Cloud, params: Params, pool: NodePool | None) -> NodePool:
    cluster = cluster_named(cloud, params["cluster_id"])
    if pool is None or pool.cluster_id != cluster.cluster_id:
        raise ApiError(
            NOT_FOUND, "ErrorNodePoolNotFound", f"nodepool {params['nodepool_id']} is not found"
        )
    return pool


def must_be_active(pool: NodePool) -> None:
    if pool.state is not PoolState.ACTIVE:
        raise ApiError(
            BAD_REQUEST,
            "InvalidStatus.Forbidden",
            f"cannot operate cluster where state is {pool.state}: nodepool {pool.node_pool_id}",
        )


def check_name(cloud: Cloud, cluster: Cluster, name: str, own: NodePool | None = None) -> None:
    if any(pool.name == name and pool is not own for pool in pools_of(cloud, cluster)):
        raise ApiError(
            BAD_REQUEST,
            "InvalidParameter.Name",
            f"nodepool name {name} is already exist in cluster",  # the API's own words
        )


def check_size(cloud: Cloud, pool: NodePool | None, cluster: Cluster, size: int) -> None:
    """Refuse a size that would exceed the nodes of a cluster."""
    others = sum(each.desired_size for each in pools_of(cloud, cluster) if each is not pool)
    if others + size > cloud.settings.max_nodes:
        raise ApiError(
            BAD_REQUEST,
            "QuotaExceeded.Node",
            f"{others + size} nodes are more than the cluster's {cloud.settings.max_nodes}",
        )


@action("CreateClusterNodePool", CREATE_RULES)
def create_cluster_node_pool(cloud: Cloud, params: Params) -> dict[str, Any]:
    cluster = cluster_named(cloud, params["cluster_id"])
    description: dict[str, Any] = {k: v for k, v in params.items() if isinstance(v, dict)}
    check_pool(cloud, description)
    check_name(cloud, cluster, params["nodepool_info"]["name"])
    size = description["scaling_group"].get("desired_size", params.get("count", 0))
    check_size(cloud, None, cluster, size)
    if len(pools_of(cloud, cluster)) >= cloud.settings.max_node_pools:
        raise ApiError(
            BAD_REQUEST,
            "QuotaExceeded.NodePool",
            f"the cluster has its {cloud.settings.max_node_pools} node pools",
        )
    pool = new_pool(cloud, cluster, description, size)
    cloud.node_pools[pool.node_pool_id] = pool
    work = scaling.resize(cloud, pool)
    task = begin(cloud, pool, "cluster_nodepool_create", PoolState.SCALING, work, is_new=True)
    return {"nodepool_id": pool.node_pool_id, "task_id": task.task_id}


def new_pool(cloud: Cloud, cluster: Cluster, description: dict[str, Any], size: int) -> NodePool:
    now = cloud.now()
    group = {
        "image_type": "AliyunLinux3",
        **SYSTEM_DISK,
        "security_group_ids": [cloud.account.security_group_id],
        "data_disks": [],
        "tags": [],
        **description["scaling_group"],
    }
    config = {
        "runtime": "containerd",
        "runtime_version": cloud.machines.runtime_version(),
        "labels": [],
        "taints": [],
        "unschedulable": False,
        "cms_enabled": False,
        **description.get("kubernetes_config", {}),
    }
    return NodePool(
        node_pool_id=cloud.ids.ack("np"),
        cluster_id=cluster.cluster_id,
        name=description["nodepool_info"]["name"],
        created=now,
        updated=now,
        scaling_group_id=cloud.ids.ecs("asg"),
        scaling_group=group,
        kubernetes_config=config,
        desired_size=size,
    )


@action("ModifyClusterNodePool", MODIFY_RULES)
def modify_cluster_node_pool(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Change what is given and keep the rest; only new nodes get a changed description."""
    pool = pool_named(cloud, params)
    must_be_active(pool)
    refuse_emptied(pool, dict(params))
    check_pool(cloud, dict(params), pool)
    group = dict(params.get("scaling_group", {}))
    cluster = cluster_named(cloud, pool.cluster_id)
    name = params.get("nodepool_info", {}).get("name", pool.name)
    check_name(cloud, cluster, name, own=pool)
    size = group.pop("desired_size", pool.desired_size)
    check_size(cloud, pool, cluster, size)
    pool.name = name
    pool.scaling_group |= group
    pool.kubernetes_config |= params.get("kubernetes_config", {})
    task = change_size(cloud, pool, size)
    return {"nodepool_id": pool.node_pool_id, "task_id": task.task_id}


def change_size(cloud: Cloud, pool: NodePool, size: int) -> Task:
    """Begin the task that brings a pool to a size, under the state that ACK shows for it.

    Judged by the nodes that there are: an order that failed left fewer than were desired.
    """
    grows, shrinks = size > len(pool.nodes), size < len(pool.nodes)
    pool.desired_size = size
    work = scaling.resize(cloud, pool)
    if shrinks:
        return begin(cloud, pool, "cluster_scalein", PoolState.REMOVING, work)
    if grows:
        return begin(cloud, pool, "cluster_scaleout", PoolState.SCALING, work)
    return begin(cloud, pool, "nodepool_update", PoolState.UPDATING, work)


@action("ScaleClusterNodePool", {"count": Rule(required=True, low=1, high=MAX_SCALE)})
def scale_cluster_node_pool(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Add ``count`` nodes: not the size to reach."""
    pool = pool_named(cloud, params)
    must_be_active(pool)
    size = pool.desired_size + params["count"]
    check_size(cloud, pool, cluster_named(cloud, pool.cluster_id), size)
    return {"task_id": change_size(cloud, pool, size).task_id}


@action("DeleteClusterNodepool", {"force": ANY})
def delete_cluster_node_pool(cloud: Cloud, params: Params) -> dict[str, Any]:
    pool = pool_named(cloud, params)
    must_be_active(pool)
    if pool.nodes and not params.get("force"):
        raise ApiError(
            BAD_REQUEST,
            "NodePoolNotEmpty",
            f"nodepool {pool.node_pool_id} has {len(pool.nodes)} nodes: remove them, or use force",
        )
    pool.desired_size = 0
    work = scaling.delete(cloud, pool)
    task = begin(cloud, pool, "nodepool_delete", PoolState.DELETING, work)
    return {"task_id": task.task_id}


@action(
    "RemoveNodePoolNodes",
    {"instance_ids": Rule(high=100), "release_node": ANY, "drain_node": ANY, "concurrency": ANY},
)
def remove_node_pool_nodes(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Take nodes out of the pool and release their instances; the pool's size shrinks with them."""
    pool = pool_named(cloud, params)
    must_be_active(pool)
    if not params.get("instance_ids"):
        raise invalid("instance_ids", "it names no node")
    if not params.get("release_node"):
        raise unsupported("RemoveNodePoolNodes that keeps the instances (release_node false)")
    ids = list(dict.fromkeys(params["instance_ids"]))
    for instance_id in ids:
        if instance_id not in pool.nodes:
            raise ApiError(
                BAD_REQUEST,
                "InvalidParameter.InstanceIds",
                f"{instance_id} is no node of nodepool {pool.node_pool_id}",
            )
    pool.desired_size = max(0, pool.desired_size - len(ids))
    work = scaling.remove(cloud, pool, ids)
    task = begin(cloud, pool, "cluster_node_delete", PoolState.REMOVING, work)
    return {"task_id": task.task_id}


@action("DescribeClusterNodePools", {"NodepoolName": ANY})
def describe_cluster_node_pools(cloud: Cloud, params: Params) -> dict[str, Any]:
    cluster = cluster_named(cloud, params["cluster_id"])
    name = params.get("NodepoolName")
    shown = [pool for pool in pools_shown(cloud, cluster) if name in (None, pool.name)]
    return {"nodepools": [body(cloud, pool) for pool in shown]}


@action("DescribeClusterNodePoolDetail")
def describe_cluster_node_pool_detail(cloud: Cloud, params: Params) -> dict[str, Any]:
    shown = cloud.node_pools.shown().get(params["nodepool_id"])
    described = body(cloud, known(cloud, params, shown))
    described["status"]["conditions"] = []  # in the list of pools there are none, by the SDK
    return described


def body(cloud: Cloud, pool: NodePool) -> dict[str, Any]:
    """Return a node pool as ACK describes it."""
    return {
        "nodepool_info": {
            "nodepool_id": pool.node_pool_id,
            "name": pool.name,
            "type": "ess",
            "is_default": False,
            "region_id": cloud.account.region_id,
            "resource_group_id": "rg-local",
            "created": beijing(pool.created),
            "updated": beijing(pool.updated),
        },
        "scaling_group": {
            **pool.scaling_group,
            "scaling_group_id": pool.scaling_group_id,
            "desired_size": pool.desired_size,
        },
        "kubernetes_config": pool.kubernetes_config,
        "auto_scaling": {"enable": False},
        "management": {"enable": False},
        "status": {"state": pool.state, **counts(cloud, pool)},
    }
