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


def data_disk(**disk: Any) -> list[dict[str, Any]]:
    return [{"category": "cloud_essd", **disk}]


@pytest.mark.parametrize(
    ("group", "is_taken"),
    [
        ({"data_disks": data_disk(size=40)}, True),
        ({"data_disks": data_disk(size=32768)}, True),
        ({"data_disks": data_disk(size=32769)}, False),
        ({"data_disks": data_disk(size=461, performance_level="PL2")}, True),
        ({"data_disks": data_disk(size=460, performance_level="PL2")}, False),
        ({"data_disks": data_disk(size=40, disk_name="d-1")}, True),
        ({"data_disks": data_disk(size=40, disk_name="1d")}, False),
        ({"data_disks": data_disk(size=40) * 10}, True),
        ({"data_disks": data_disk(size=40) * 11}, False),
        ({"system_disk_size": 20}, True),
        ({"system_disk_size": 2048}, True),
        ({"system_disk_size": 2049}, False),
        ({"instance_types": ["ecs.c7.large"] * 10}, True),
        ({"instance_types": ["ecs.c7.large"] * 11}, False),
        ({"tags": [{"key": "k", "value": "v" * 128}]}, True),
        ({"tags": [{"key": "k", "value": "v" * 129}]}, False),
        ({"tags": [{"key": "acs:k", "value": "v"}]}, False),
        ({"tags": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]}, False),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_a_group_has_its_limits(world: World, group: Any, is_taken: bool) -> None:
    if is_taken:
        world.create_pool(desired_size=0, **group)
        return
    with refused("InvalidParameter", 400):
        world.create_pool(desired_size=0, **group)
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


async def test_a_cluster_has_20_pools_and_100_nodes_by_default(world: World) -> None:
    for number in range(19):
        world.create_pool(f"pool-{number}", desired_size=0)
    last = world.create_pool("pool-19", desired_size=100)["nodepool_id"]
    with refused("QuotaExceeded.NodePool", 400):
        world.create_pool("pool-20", desired_size=0)
    await world.settle()
    assert len(world.nodes(last, pageSize=100)) == 100
    with refused("QuotaExceeded.Node", 400):
        world.ack("ScaleClusterNodePool", f"{world.pools()}/{last}", {"count": 1})
    with refused("QuotaExceeded.Node", 400):
        world.modify(last, desired_size=101)


async def test_a_cluster_has_as_many_pools_and_nodes_as_the_settings_say(tmp_path: Path) -> None:
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
