"""What CreateClusterNodePool refuses, names and quotas among it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.world import SETTINGS, World, refused


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
        ("scaling_group.system_disk_size", 19, "InvalidParameter"),
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
