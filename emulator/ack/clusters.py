"""DescribeClustersV1, DescribeClusterDetail, their kubeconfig and ListClusterAddonInstances.

Not emulated: creating, changing and deleting clusters; a kubeconfig that ends
(``TemporaryDurationMinutes`` is accepted and reported, its token stays valid).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from emulator.ack.actions import action
from emulator.ack.resources import Cluster, NodePool
from emulator.ack.tasks import beijing
from emulator.ecs.reading import to_second
from emulator.errors import NOT_FOUND, ApiError
from emulator.params import ANY, Params, Rule

if TYPE_CHECKING:
    from emulator.cloud import Cloud

CLUSTER_TYPES = ("ManagedKubernetes", "Kubernetes", "ExternalKubernetes")
EXACT = ("cluster_id", "cluster_type", "region_id")
USUAL_PAGE = 10  # the example of its page, which names neither a default nor a limit
MOST_OF_A_PAGE = 50  # of ACK's other lists that are paged alike
LIFETIME = timedelta(days=3 * 365)  # of a kubeconfig that is asked for without a duration


def cluster_named(cloud: Cloud, cluster_id: str) -> Cluster:
    cluster = cloud.clusters.get(cluster_id)
    if cluster is None:
        raise ApiError(NOT_FOUND, "ErrorClusterNotFound", f"cluster {cluster_id} is not found")
    return cluster


def pools_of(cloud: Cloud, cluster: Cluster) -> list[NodePool]:
    """Return the pools that there are, by which names and quotas are judged."""
    return [p for p in cloud.node_pools.values() if p.cluster_id == cluster.cluster_id]


def pools_shown(cloud: Cloud, cluster: Cluster) -> list[NodePool]:
    """Return the pools that Describe calls show."""
    return [p for p in cloud.node_pools.shown().values() if p.cluster_id == cluster.cluster_id]


@action(
    "DescribeClustersV1",
    {
        "cluster_id": ANY,
        "cluster_type": Rule(one_of=CLUSTER_TYPES),
        "name": ANY,
        "region_id": ANY,
        "page_number": Rule(low=1),
        "page_size": Rule(low=1, high=MOST_OF_A_PAGE),
    },
)
def describe_clusters(cloud: Cloud, params: Params) -> dict[str, Any]:
    """List the clusters of the account, oldest first; a part of a name finds it."""
    bodies = [body(cloud, each) for each in cloud.clusters.values()]
    asked = {name: params[name] for name in EXACT if params.get(name)}
    found = [
        each
        for each in bodies
        if asked.items() <= each.items() and params.get("name", "") in each["name"]
    ]
    number, size = params.get("page_number", 1), params.get("page_size", USUAL_PAGE)
    return {
        "clusters": found[(number - 1) * size : number * size],
        "page_info": {"page_number": number, "page_size": size, "total_count": len(found)},
    }


@action("DescribeClusterDetail")
def describe_cluster_detail(cloud: Cloud, params: Params) -> dict[str, Any]:
    return body(cloud, cluster_named(cloud, params["cluster_id"]))


def body(cloud: Cloud, cluster: Cluster) -> dict[str, Any]:
    account = cloud.account
    return {
        "cluster_id": cluster.cluster_id,
        "name": cluster.name,
        "state": "running",
        "cluster_type": "ManagedKubernetes",
        "cluster_spec": "ack.pro.small",
        "profile": "Default",
        "current_version": cluster.version,
        "init_version": cluster.version,
        "next_version": "",
        "region_id": account.region_id,
        "zone_id": account.zone_id,
        "vpc_id": account.vpc_id,
        "vswitch_id": account.vswitch_id,
        "vswitch_ids": [account.vswitch_id],
        "security_group_id": account.security_group_id,
        "network_mode": "vpc",
        "proxy_mode": "ipvs",
        "size": sum(len(pool.nodes) for pool in pools_of(cloud, cluster)),
        "master_url": json.dumps({"api_server_endpoint": cluster.kube_url}),
        "created": beijing(cluster.created),
        "updated": beijing(cluster.created),
        "meta_data": "{}",
        "tags": [],
        "deletion_protection": True,
    }


@action(
    "DescribeClusterUserKubeconfig",
    {"PrivateIpAddress": ANY, "TemporaryDurationMinutes": Rule(low=15, high=4320)},
)
def describe_cluster_user_kubeconfig(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Return the administrator's kubeconfig, for the address asked for."""
    cluster = cluster_named(cloud, params["cluster_id"])
    url = cluster.node_kube_url if params.get("PrivateIpAddress") else cluster.kube_url
    minutes = params.get("TemporaryDurationMinutes")
    lifetime = timedelta(minutes=minutes) if minutes else LIFETIME
    return {
        "config": cluster.kube.kubeconfig(url),
        "expiration": to_second(cloud.now() + lifetime),
    }


@action("ListClusterAddonInstances")
def list_cluster_addon_instances(cloud: Cloud, params: Params) -> dict[str, Any]:
    cluster = cluster_named(cloud, params["cluster_id"])
    return {
        "addons": [
            {"name": name, "version": version, "state": "active"}
            for name, version in sorted(cluster.addons.items())
        ]
    }
