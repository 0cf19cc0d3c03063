"""Fills a local cloud with node pools through the official SDK, and waits for their nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from alibabacloud_cs20151215 import models
from alibabacloud_cs20151215.client import Client
from alibabacloud_tea_openapi.utils_models import Config

CALLERS = 4
LOOK_EVERY_S = 1.0
PAGE = 100


class BuildError(Exception):
    """Nodes that were ordered and did not become Ready."""


@dataclass(frozen=True, slots=True)
class Built:
    pools: list[str]
    tasks: list[str]
    instances: list[str]
    seconds: float  # first order -> last node Ready


def client(facts: Mapping[str, Any]) -> Client:
    return Client(
        Config(
            access_key_id=facts["access_key_id"],
            access_key_secret=facts["access_key_secret"],
            region_id=facts["region_id"],
            endpoint=facts["cs_endpoint"],
            protocol="http",
        )
    )


def order(cs: Client, facts: Mapping[str, Any], name: str, nodes: int) -> tuple[str, str]:
    """Order a node pool; return its id and its task's."""
    request = models.CreateClusterNodePoolRequest(
        nodepool_info=models.CreateClusterNodePoolRequestNodepoolInfo(name=name),
        scaling_group=models.CreateClusterNodePoolRequestScalingGroup(
            vswitch_ids=[facts["vswitch_id"]],
            instance_types=[facts["instance_type"]],
            instance_charge_type="PostPaid",
            desired_size=nodes,
            data_disks=[models.DataDisk(category="cloud_essd", size=40)],
        ),
    )
    body = cs.create_cluster_node_pool(facts["cluster_id"], request).body
    return body.nodepool_id, body.task_id


def all_nodes(cs: Client, facts: Mapping[str, Any]) -> Iterator[Any]:
    """Yield every node of the cluster, page by page."""
    number = 1
    while True:
        request = models.DescribeClusterNodesRequest(page_number=str(number), page_size=str(PAGE))
        nodes = cs.describe_cluster_nodes(facts["cluster_id"], request).body.nodes
        yield from nodes
        if len(nodes) < PAGE:
            return
        number += 1


def build(facts: Mapping[str, Any], pools: int, nodes: int, within_s: float) -> Built:
    """Build ``pools`` of ``nodes`` each and wait until all nodes are Ready.

    :raises BuildError: saying how many were Ready in time, or what failed.
    """
    cs = client(facts)
    begin = time.monotonic()
    names = [f"bench-{number:03d}" for number in range(pools)]
    with ThreadPoolExecutor(CALLERS) as callers:
        ordered = list(callers.map(lambda name: order(cs, facts, name, nodes), names))
    while True:
        found = list(all_nodes(cs, facts))
        ready = sum(node.node_status == "Ready" for node in found)
        took = time.monotonic() - begin
        if ready == pools * nodes:
            break
        if failed := [node for node in found if node.state == "failed"]:
            raise BuildError(f"{failed[0].instance_id} failed: {failed[0].error_message}")
        if took > within_s:
            raise BuildError(f"{ready} of {pools * nodes} nodes are Ready after {took:.0f} s")
        time.sleep(LOOK_EVERY_S)
    tasks = [task_id for _, task_id in ordered]
    while any(cs.describe_task_info(task_id).body.state == "running" for task_id in tasks[-20:]):
        time.sleep(LOOK_EVERY_S)
    return Built([pool for pool, _ in ordered], tasks, [n.instance_id for n in found], took)
