"""What the API itself says of each foreign resource, field by field, read by the official SDK."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from alibabacloud_ecs20140526 import models as ecs

from local.chaos.neighbours import Account

Bodies = dict[str, Mapping[str, Any]]
PAGE = 50


def bodies(account: Account, keys: Iterable[str]) -> Bodies:
    """Return the body of each resource, by its key as in ``Scene.resources``.

    :param keys: those of nodes and clusters are passed over: a node is told by its instance.
    """
    ids: dict[str, list[str]] = {}
    for key in sorted(keys):
        kind, resource_id = key.split(" ", 1)
        ids.setdefault(kind, []).append(resource_id)
    found = {**_machines(account, ids), **_storage(account, ids)}
    for pool_id in ids.get("node_pool", []):
        pool = account.cs.describe_cluster_node_pool_detail(account.facts["cluster_id"], pool_id)
        found[f"node_pool {pool_id}"] = pool.body.to_map()
    return found


def _machines(account: Account, ids: Mapping[str, list[str]]) -> Bodies:
    region = account.facts["region_id"]
    machines = account.ecs.describe_instances(
        ecs.DescribeInstancesRequest(
            region_id=region, instance_ids=json.dumps(ids.get("instance", [])), page_size=PAGE
        )
    ).body.instances.instance
    found: Bodies = {f"instance {each.instance_id}": each.to_map() for each in machines}
    for name in ids.get("key_pair", []):
        pairs = account.ecs.describe_key_pairs(
            ecs.DescribeKeyPairsRequest(region_id=region, key_pair_name=name)
        ).body.key_pairs.key_pair
        found |= {f"key_pair {each.key_pair_name}": each.to_map() for each in pairs}
    return found


def _storage(account: Account, ids: Mapping[str, list[str]]) -> Bodies:
    region = account.facts["region_id"]
    disks = account.ecs.describe_disks(
        ecs.DescribeDisksRequest(
            region_id=region, disk_ids=json.dumps(ids.get("disk", [])), page_size=PAGE
        )
    ).body.disks.disk
    snapshots = account.ecs.describe_snapshots(
        ecs.DescribeSnapshotsRequest(
            region_id=region, snapshot_ids=json.dumps(ids.get("snapshot", [])), page_size=PAGE
        )
    ).body.snapshots.snapshot
    found: Bodies = {f"disk {each.disk_id}": each.to_map() for each in disks}
    return found | {f"snapshot {each.snapshot_id}": each.to_map() for each in snapshots}
