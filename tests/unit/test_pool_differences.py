"""What a node pool has otherwise than its target: told field by field, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ack_preload.domain.node_pools import NodePoolView, PoolSpec
from ack_preload.domain.pool_differences import differences

TARGET: dict[str, Any] = {
    "name": "demo",
    "cluster_id": "c1",
    "source": {"node_pool_id": "np0"},
    "build": {"disk_gib": 100},
    "pool": {
        "name": "preloaded",
        "instance_types": ["ecs.c7.large", "ecs.g7.large"],
        "vswitch_ids": ["vsw-1"],
        "labels": {"team": "a"},
        "taints": [{"key": "only", "value": "ours", "effect": "NoSchedule"}],
    },
}
SPEC = PoolSpec.from_mapping(TARGET)


def described(**changes: Any) -> NodePoolView:
    """Return a pool as ACK describes one that was made by the spec."""
    body = SPEC.body(
        name="preloaded", snapshot_id="s-1", desired_size=0, runtime_version="1.6.20", tags={}
    )
    body["nodepool_info"]["nodepool_id"] = "np1"
    for part in ("scaling_group", "kubernetes_config"):
        body[part] |= {k: v for k, v in changes.items() if k in body[part] or k in EXTRA[part]}
    return NodePoolView.from_api({**body, "status": {"state": "active"}})


EXTRA = {"scaling_group": ("security_group_ids", "key_pair"), "kubernetes_config": ("user_data",)}
MORE_LABELS = [{"key": "team", "value": "a"}, {"key": "cloud/own", "value": "x"}]


def found(pool: NodePoolView, snapshot_id: str | None = "s-1") -> list[str]:
    return differences(SPEC, pool, snapshot_id=snapshot_id)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"instance_types": ["ecs.g7.large", "ecs.c7.large"]},
        {"security_group_ids": ["sg-default"]},
        {"labels": MORE_LABELS},
        {"system_disk_size": None},
    ],
    ids=["nothing", "order", "a default", "labels of the cloud", "not told"],
)
def test_what_the_cloud_adds_is_no_difference(changes: dict[str, Any]) -> None:
    assert found(described(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"instance_types": ["ecs.c6.large"]}, "pool.instance_types: the target has ['ecs.c7."),
        ({"vswitch_ids": ["vsw-2"]}, "pool.vswitch_ids: "),
        ({"image_type": "ContainerOS"}, "pool.image_type: "),
        ({"system_disk_size": 40}, "pool.system_disk_size: the target has 120, the node pool 40"),
        ({"labels": []}, "pool.labels: the node pool lacks "),
        ({"taints": [{"key": "only", "value": "ours", "effect": "NoExecute"}]}, "pool.taints: "),
        (
            {"pre_user_data": base64.b64encode(b"echo").decode()},
            "pool.pre_user_data: the node pool has another script",
        ),
        ({"user_data": "not base64"}, "pool.user_data: the node pool has another script"),
        ({"data_disks": [{"category": "cloud_auto", "snapshot_id": "s-1"}]}, "pool.data disk cat"),
    ],
)
def test_each_difference_names_its_field(changes: dict[str, Any], told: str) -> None:
    (sentence,) = found(described(**changes))
    assert sentence.startswith(told)


def test_a_disk_that_is_to_be_changed_anyway_is_not_compared() -> None:
    pool = described(data_disks=[{"category": "cloud_auto", "size": 40, "snapshot_id": "s-0"}])
    assert found(pool) == []


def test_the_size_of_a_blank_disk_counts_and_that_of_one_from_a_snapshot_does_not() -> None:
    disk = {"category": "cloud_essd", "performance_level": "PL1", "size": 41}
    assert found(described(data_disks=[disk]), None) == [
        "pool.data disk size: the target has 100, the node pool 41"
    ]
    assert found(described(data_disks=[{**disk, "snapshot_id": "s-1"}])) == []
