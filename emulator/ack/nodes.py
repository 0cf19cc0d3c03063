"""DescribeClusterNodes, and what is known of a node from its instance and from Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from emulator.ack.actions import action
from emulator.ack.clusters import cluster_named, pools_shown
from emulator.ack.resources import Cluster, NodePool, PoolNode
from emulator.ack.tasks import beijing
from emulator.ecs.resources import InstanceStatus
from emulator.errors import NOT_FOUND, ApiError
from emulator.kube.errors import KubeError
from emulator.params import ANY, Params, Rule

if TYPE_CHECKING:
    from emulator.cloud import Cloud

MAX_PAGE = 100
STATES = ("all", "running", "removing", "initial", "failed")


def page_number(text: str) -> str | None:
    return None if re.fullmatch(r"[1-9][0-9]{0,8}", text) else f"{text!r} is no page"


def page_size(text: str) -> str | None:
    problem = page_number(text)
    return problem or (None if int(text) <= MAX_PAGE else f"{text} is more than {MAX_PAGE}")


@action(
    "DescribeClusterNodes",
    {
        "nodepool_id": ANY,
        "instanceIds": ANY,  # separated by commas, as the next two
        "nodeNames": ANY,
        "nodeIps": ANY,
        "state": Rule(one_of=STATES),
        "pageNumber": Rule(check=page_number),
        "pageSize": Rule(check=page_size),
    },
)
def describe_cluster_nodes(cloud: Cloud, params: Params) -> dict[str, Any]:
    cluster = cluster_named(cloud, params["cluster_id"])
    pool_id = params.get("nodepool_id")
    pools = pools_shown(cloud, cluster)
    if pool_id and all(pool.node_pool_id != pool_id for pool in pools):
        raise ApiError(NOT_FOUND, "ErrorNodePoolNotFound", f"nodepool {pool_id} is not found")
    found = [
        (node.instance_id, pool, node)
        for pool in pools
        if pool_id in (None, pool.node_pool_id)
        for node in pool.nodes.values()
    ]
    # As they were ordered, whatever their pools, which their ids tell: one that joins later changes
    # no page before its own, one that goes moves those behind it up. No source for ACK's own order.
    found.sort(key=itemgetter(0))
    if asked := filters(params):
        found = [each for each in found if matches(cloud, cluster, each[2], asked)]
    size, number = int(params.get("pageSize", 10)), int(params.get("pageNumber", 1))
    shown = found[(number - 1) * size : number * size]
    return {
        "nodes": [body(cloud, cluster, pool, node) for _, pool, node in shown],
        "page": {"page_number": number, "page_size": size, "total_count": len(found)},
    }


def filters(params: Params) -> dict[str, str]:
    names = ("instanceIds", "nodeNames", "nodeIps", "state")
    asked = {name: params[name] for name in names if params.get(name)}
    return {name: text for name, text in asked.items() if (name, text) != ("state", "all")}


def matches(cloud: Cloud, cluster: Cluster, node: PoolNode, asked: Mapping[str, str]) -> bool:
    """Tell whether a node is asked for. Bodies are made of shown ones only: they cost more."""
    instance = cloud.instances.get(node.instance_id)
    have = {
        "instanceIds": node.instance_id,
        "nodeNames": node.node_name,
        "nodeIps": instance.private_ip if instance else "",
    }
    if any(have[name] not in asked[name].split(",") for name in have if name in asked):
        return False
    return "state" not in asked or asked["state"] == state(cloud, cluster, node)


def nodes_of(cloud: Cloud, cluster: Cluster, pool: NodePool) -> Iterator[dict[str, Any]]:
    for node in list(pool.nodes.values()):
        yield body(cloud, cluster, pool, node)


def body(cloud: Cloud, cluster: Cluster, pool: NodePool, node: PoolNode) -> dict[str, Any]:
    """Return a node as ACK describes it; its state follows instance and Kubernetes Node."""
    instance = cloud.instances.get(node.instance_id)
    instance_type = instance.instance_type if instance else ""
    return {
        "instance_id": node.instance_id,
        "instance_name": instance.name if instance else "",
        "instance_type": instance_type,
        "instance_type_family": instance_type.rpartition(".")[0],
        "instance_charge_type": "PostPaid",
        "instance_role": "Worker",
        "instance_status": instance.status if instance else "",
        "spot_strategy": "NoSpot",
        "image_id": instance.image.image_id if instance else "",
        "host_name": instance.hostname if instance else "",
        "ip_address": [instance.private_ip] if instance else [],
        "node_name": node.node_name,
        "node_status": node_status(cluster, node),
        "nodepool_id": pool.node_pool_id,
        "state": state(cloud, cluster, node),
        "error_message": node.error,
        "source": "ess_attach",
        "is_aliyun_node": True,
        "creation_time": beijing(node.created),
        "expired_time": "2099-12-31T23:59:00+08:00",
    }


def state(cloud: Cloud, cluster: Cluster, node: PoolNode) -> str:
    if node.is_removing:
        return "removing"
    if node.error:
        return "failed"
    instance = cloud.instances.get(node.instance_id)
    if instance is not None and node.has_joined:
        return instance.status.lower()  # running, stopping, stopped, starting
    is_running = instance is not None and instance.status is InstanceStatus.RUNNING
    return "running" if is_running and ready_condition(cluster, node) is not None else "initial"


def ready_condition(cluster: Cluster, node: PoolNode) -> dict[str, Any] | None:
    """Return the Ready condition of the Kubernetes Node; None when there is no such Node."""
    try:
        return cluster.kube.store.read("nodes", None, node.node_name, ready_in)
    except KubeError:
        return None


def ready_in(node: dict[str, Any]) -> dict[str, Any]:
    conditions = node.get("status", {}).get("conditions", [])
    return next(
        (dict(each) for each in conditions if each["type"] == "Ready"), {"status": "Unknown"}
    )


def node_status(cluster: Cluster, node: PoolNode) -> str:
    condition = ready_condition(cluster, node)
    if condition is None:
        return "NotReady"
    return {"True": "Ready", "False": "NotReady"}.get(condition["status"], "Unknown")


def counts(cloud: Cloud, pool: NodePool) -> dict[str, int]:
    """Return the numbers of nodes under a pool's ``status``."""
    cluster = cloud.clusters[pool.cluster_id]
    states = [state(cloud, cluster, node) for node in pool.nodes.values()]
    ready = sum(node_status(cluster, node) == "Ready" for node in pool.nodes.values())
    return {
        "total_nodes": len(states),
        "healthy_nodes": ready,
        "serving_nodes": ready,
        "initial_nodes": states.count("initial"),
        "failed_nodes": states.count("failed"),
        "removing_nodes": states.count("removing"),
        "offline_nodes": states.count("stopped"),  # no source: the SDK's page says just offline
    }
