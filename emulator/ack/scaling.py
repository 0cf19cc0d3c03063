"""How a node pool comes to its size: instances that join, and nodes that go."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from emulator.account import NODE_IMAGES
from emulator.ack.nodes import node_status
from emulator.ack.pool_rules import DEFAULT_DISK_GIB, decoded
from emulator.ack.resources import Cluster, NodePool, PoolNode
from emulator.ack.tasks import TaskFailedError
from emulator.ecs import lifecycle, releasing
from emulator.ecs.lifecycle import DiskOrder, InstanceOrder
from emulator.ecs.resources import InstanceStatus
from emulator.faults import NodeError, NoStock
from emulator.kube.errors import KubeError
from emulator.machines.base import MachineError, NodeJoin

if TYPE_CHECKING:
    from emulator.cloud import Cloud
    from emulator.ecs.resources import Instance

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.2
FIRST_LOOK_S = 0.01  # a node on paper can be Ready at once
POOL_LABEL = "alibabacloud.com/nodepool-id"


async def resize(cloud: Cloud, pool: NodePool) -> None:
    """Add or remove nodes until there are as many as desired; the newest go first.

    :raises TaskFailedError: naming the nodes that did not become Ready, or why there are fewer.
    """
    surplus = len(pool.nodes) - pool.desired_size
    if surplus > 0:
        newest = sorted(pool.nodes, reverse=True)
        broken_first = sorted(newest, key=lambda instance_id: not pool.nodes[instance_id].error)
        await remove(cloud, pool, broken_first[:surplus])
    elif surplus < 0:
        await add_nodes(cloud, cloud.clusters[pool.cluster_id], pool, -surplus)


async def add_nodes(cloud: Cloud, cluster: Cluster, pool: NodePool, number: int) -> None:
    """Order as many nodes as can be had, and wait for these."""
    nodes, refusals = [], []
    for _ in range(number):
        try:
            nodes.append(add_node(cloud, cluster, pool))
        except (TaskFailedError, MachineError) as exc:
            refusals.append(str(exc))
    problems = [*dict.fromkeys(refusals), *await joined(cloud, cluster, nodes)]
    if problems:
        raise TaskFailedError("; ".join(problems))


def add_node(cloud: Cloud, cluster: Cluster, pool: NodePool) -> PoolNode:
    order = node_order(cloud, cluster, pool)
    fault = cloud.faults.strike(NodeError, pool.node_pool_id, pool.name)
    if fault is not None:
        order = replace(order, join=None)  # its instance runs and never becomes a node
    instance = lifecycle.launch(cloud, order)
    node = PoolNode(
        instance_id=instance.instance_id,
        node_name=node_name(cloud, instance),
        created=instance.created,
        will_fail=fault.message if fault else "",
    )
    pool.nodes[node.instance_id] = node
    return node


def type_in_stock(cloud: Cloud, instance_types: list[str]) -> str:
    """Return the first type of a pool that is sold now."""
    codes = []
    for instance_type in instance_types:
        fault = cloud.faults.strike(NoStock, instance_type)
        if fault is None:
            return instance_type
        codes.append(fault.code)
    raise TaskFailedError(
        f"{codes[-1]}: The requested resource is sold out in the specified zone; try other types "
        f"of resources or other regions and zones: {', '.join(instance_types)}"
    )


def node_name(cloud: Cloud, instance: Instance) -> str:
    return f"{cloud.account.region_id}.{instance.private_ip}"


def node_order(cloud: Cloud, cluster: Cluster, pool: NodePool) -> InstanceOrder:
    """Return what an instance of the pool is made from, by the pool's present description."""
    group, config = pool.scaling_group, pool.kubernetes_config
    key_pair = group.get("key_pair", "")
    if key_pair and key_pair not in cloud.key_pairs:  # deleted since the pool named it
        raise TaskFailedError(
            f"InvalidKeyPairName.NotFound: The specified KeyPairName {key_pair} does not exist."
        )
    return InstanceOrder(
        name=f"worker-k8s-for-cs-{cluster.cluster_id}",
        image=NODE_IMAGES[group["image_type"]],
        instance_type=type_in_stock(cloud, group["instance_types"]),
        security_group_ids=group["security_group_ids"],
        key_pair_name=key_pair,
        system_disk=DiskOrder(
            size_gib=group["system_disk_size"],
            category=group["system_disk_category"],
            performance_level=group.get("system_disk_performance_level", ""),
        ),
        data_disks=tuple(disk_order(cloud, disk) for disk in group["data_disks"]),
        tags={"ack.aliyun.com": cluster.cluster_id, POOL_LABEL: pool.node_pool_id, **pool.tags()},
        user_data=decoded(config, "user_data"),
        pre_user_data=decoded(config, "pre_user_data"),
        node_pool_id=pool.node_pool_id,
        join=lambda instance: join_of(cloud, cluster, pool, instance),
    )


def disk_order(cloud: Cloud, disk: dict[str, Any]) -> DiskOrder:
    """Return one data disk; one from a snapshot has the snapshot's size."""
    snapshot_id = disk.get("snapshot_id", "")
    size = disk.get("size", DEFAULT_DISK_GIB)
    if snapshot_id:
        if snapshot_id not in cloud.snapshots:
            raise TaskFailedError(f"InvalidSnapshotId.NotFound: no snapshot {snapshot_id}")
        size = cloud.snapshots[snapshot_id].disk_size_gib
    return DiskOrder(
        size_gib=size,
        category=disk["category"],
        performance_level=disk.get("performance_level", ""),
        snapshot_id=snapshot_id,
        name=disk.get("disk_name", ""),
        encrypted=disk.get("encrypted", "false").lower() == "true",
    )


def join_of(cloud: Cloud, cluster: Cluster, pool: NodePool, instance: Instance) -> NodeJoin:
    config = pool.kubernetes_config
    name = node_name(cloud, instance)
    labels = {label["key"]: label.get("value", "") for label in config["labels"]}
    return NodeJoin(
        cluster_id=cluster.cluster_id,
        node_pool_id=pool.node_pool_id,
        instance_id=instance.instance_id,
        node_name=name,
        kubernetes_version=cluster.version,
        runtime_version=config["runtime_version"],
        api_server=cluster.node_kube_url,
        ca_pem=cluster.kube.pki.ca_pem,
        token=cluster.kube.node_token(name),
        system_images=cloud.machines.system_images(),
        packages_url=cloud.machines.packages_url,
        kubelet_registration_s=cloud.settings.kubelet_registration_s,
        labels={POOL_LABEL: pool.node_pool_id, **labels},
        taints=tuple(config["taints"]),
        unschedulable=config["unschedulable"],
    )


async def joined(cloud: Cloud, cluster: Cluster, nodes: list[PoolNode]) -> list[str]:
    """Wait until every node is Ready or has failed; return what failed."""
    within = timedelta(seconds=cloud.settings.node_join_within_s)
    deadline = cloud.now() + within
    waiting, pause_s = list(nodes), FIRST_LOOK_S
    while waiting:
        for node in list(waiting):
            if is_settled(cloud, cluster, node):
                waiting.remove(node)
        if waiting and cloud.now() >= deadline:
            for node in waiting:
                node.error = f"the node did not become Ready within {within}"
            break
        if waiting:
            await cloud.clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_EVERY_S)
    return [f"{node.instance_id}: {node.error}" for node in nodes if node.error]


def is_settled(cloud: Cloud, cluster: Cluster, node: PoolNode) -> bool:
    """Tell whether nothing more is to be waited for; note why, when that is bad news."""
    instance = cloud.instances.get(node.instance_id)
    if instance is None:
        node.error = node.error or cloud.failure_of(node.instance_id) or "its instance is gone"
        return True
    if node.will_fail and instance.status is InstanceStatus.RUNNING:
        node.error = node.will_fail
        return True
    machine = cloud.instances[node.instance_id].machine
    if machine is not None and machine.failure:
        node.error = node.error or machine.failure
        return True
    node.has_joined = node_status(cluster, node) == "Ready"
    return node.has_joined


async def remove(cloud: Cloud, pool: NodePool, instance_ids: list[str]) -> None:
    """Release the instances of nodes and delete their Node objects.

    :raises TaskFailedError: naming what could not be released.
    """
    cluster = cloud.clusters[pool.cluster_id]
    for instance_id in instance_ids:
        pool.nodes[instance_id].is_removing = True
    await asyncio.gather(
        *(remove_one(cloud, cluster, pool.nodes[instance_id]) for instance_id in instance_ids)
    )
    stuck = [instance_id for instance_id in instance_ids if instance_id in cloud.instances]
    for instance_id in set(instance_ids) - set(stuck):
        del pool.nodes[instance_id]
    if stuck:
        raise TaskFailedError(f"not released: {', '.join(stuck)}")


async def remove_one(cloud: Cloud, cluster: Cluster, node: PoolNode) -> None:
    cluster.kube.revoke_node(node.node_name)
    forget_node(cluster, node)
    instance = cloud.instances.get(node.instance_id)
    if instance is not None and not instance.is_being_released:
        await releasing.release(cloud, instance)
    while instance is not None and instance.is_being_released and is_known(cloud, instance):
        await cloud.clock.sleep(LOOK_EVERY_S)  # someone else's release is under way
    forget_node(cluster, node)  # its agent may have written once more before it was cut off


def is_known(cloud: Cloud, instance: Instance) -> bool:
    return instance.instance_id in cloud.instances


def forget_node(cluster: Cluster, node: PoolNode) -> None:
    """Delete a node's object, unless a younger node has its address and thus its name."""
    store = cluster.kube.store
    try:
        found = store.get("nodes", None, node.node_name)
        if str(found["spec"].get("providerID", "")).endswith(f".{node.instance_id}"):
            store.delete("nodes", None, node.node_name)
    except KubeError:
        log.debug("%s has no Node object", node.node_name)


def instance_gone(cloud: Cloud, instance: Instance) -> None:
    """Follow an instance that went without ACK: its node goes too, and is not replaced."""
    pool = cloud.node_pools.get(instance.node_pool_id)
    node = pool.nodes.get(instance.instance_id) if pool else None
    if pool is None or node is None or node.is_removing:
        return
    cluster = cloud.clusters[pool.cluster_id]
    cluster.kube.revoke_node(node.node_name)
    forget_node(cluster, node)
    node.error = cloud.failure_of(node.instance_id) or "its instance was released"


async def delete(cloud: Cloud, pool: NodePool) -> None:
    """Remove all nodes, then the pool itself."""
    await remove(cloud, pool, list(pool.nodes))
    del cloud.node_pools[pool.node_pool_id]
    log.info("node pool %s (%s) is deleted", pool.node_pool_id, pool.name)
