"""What CreateClusterNodePool refuses, names and quotas among it."""

from __future__ import annotations

import base64
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
        ("nodepool_info.name", "", "MissingParameter"),
        ("nodepool_info.name", "-x", "InvalidParameter"),
        ("nodepool_info.name", 7, "InvalidParameter"),
        ("nodepool_info.type", "edge", "EmulatorUnsupported"),
        ("nodepool_info.nonsense", "x", "InvalidParameter"),
        ("scaling_group.vswitch_ids", None, "MissingParameter"),
        ("scaling_group.vswitch_ids", [], "MissingParameter"),
        ("scaling_group.vswitch_ids", ["vsw-unknown"], "InvalidParameter"),
        ("scaling_group.vswitch_ids", "vsw-1", "InvalidParameter"),
        ("scaling_group.security_group_ids", ["sg-unknown"], "InvalidParameter"),
        ("scaling_group.security_group_ids", [], "InvalidParameter"),
        ("scaling_group.instance_types", None, "MissingParameter"),
        ("scaling_group.instance_types", [], "MissingParameter"),
        ("scaling_group.instance_types", ["ecs.t1.small"], "InvalidParameter.InstanceType"),
        ("scaling_group.instance_charge_type", None, "MissingParameter"),
        ("scaling_group.instance_charge_type", "PrePaid", "EmulatorUnsupported"),
        ("scaling_group.instance_charge_type", "Barter", "InvalidParameter"),
        ("scaling_group.image_type", "", "InvalidParameter"),
        ("scaling_group.system_disk_category", "", "InvalidParameter"),
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
        ("kubernetes_config.runtime", "", "InvalidParameter"),
        ("kubernetes_config.runtime_version", "", "InvalidParameter"),
        ("kubernetes_config.runtime", "docker", "EmulatorUnsupported"),
        ("kubernetes_config.runtime_version", "2.0.0", "InvalidParameter"),
        ("kubernetes_config.pre_user_data", "touch /x", "InvalidParameter"),
        ("kubernetes_config.labels", [{"key": "not a key", "value": "x"}], "InvalidParameter"),
        ("kubernetes_config.labels", [{"key": "étage"}], "InvalidParameter"),
        ("kubernetes_config.labels", [{"key": "aéb"}], "InvalidParameter"),
        ("kubernetes_config.labels", [{"key": "k", "value": "a٣b"}], "InvalidParameter"),
        (
            "kubernetes_config.labels",
            [{"key": "k", "value": "1"}, {"key": "k"}],
            "InvalidParameter",
        ),
        ("kubernetes_config.labels", [{"value": "x"}], "MissingParameter"),
        ("kubernetes_config.taints", [{"key": "aéb", "effect": "NoSchedule"}], "InvalidParameter"),
        (
            "kubernetes_config.taints",
            [{"key": "k", "value": v, "effect": "NoSchedule"} for v in "12"],
            "InvalidParameter",
        ),
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


SIZE, LEVEL, KIND = "system_disk_size", "system_disk_performance_level", "system_disk_category"
NO_LEVEL, NO_KIND = "InvalidPerformanceLevel.Malformed", "InvalidDiskCategory.ValueNotSupported"


@pytest.mark.parametrize(
    ("disk", "code"),
    [
        ({KIND: "cloud_essd", LEVEL: "PL2", SIZE: 461}, ""),
        ({KIND: "cloud_essd", LEVEL: "PL2", SIZE: 460}, "InvalidParameter"),
        ({KIND: "cloud_essd", LEVEL: "PL3", SIZE: 1260}, "InvalidParameter"),
        ({KIND: "cloud_essd", LEVEL: "PL2"}, "InvalidParameter"),
        ({KIND: "cloud_ssd", LEVEL: "PL1"}, NO_LEVEL),
        ({LEVEL: "PL1"}, NO_LEVEL),
        ({KIND: "cloud_essd_entry"}, NO_KIND),
    ],
    ids=str,
)
async def test_a_system_disk_is_of_a_kind_that_there_is(
    world: World, disk: dict[str, Any], code: str
) -> None:
    pool_id = await world.pool("other", desired_size=0)
    if not code:
        world.create_pool(desired_size=0, **disk)
        world.modify(pool_id, **disk)
        return
    with refused(code, 400):
        world.create_pool(desired_size=0, **disk)
    with refused(code, 400):
        world.modify(pool_id, **disk)
    assert [pool.name for pool in world.cloud.node_pools.values()] == ["other"]


async def test_a_changed_system_disk_is_judged_with_what_the_pool_keeps(world: World) -> None:
    disk: dict[str, Any] = {KIND: "cloud_essd", LEVEL: "PL2", SIZE: 500}
    pool_id = await world.pool(desired_size=0, **disk)
    with refused("InvalidParameter", 400):
        world.modify(pool_id, system_disk_size=460)
    with refused(NO_LEVEL, 400):
        world.modify(pool_id, system_disk_category="cloud_auto")
    world.modify(pool_id, system_disk_size=461)
    assert world.detail(pool_id)["scaling_group"]["system_disk_size"] == 461


async def test_a_system_disk_is_cloud_efficiency_by_default_as_the_sdk_says(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    assert world.detail(pool_id)["scaling_group"]["system_disk_category"] == "cloud_efficiency"
    kinds = {disk.type: disk.category for disk in world.cloud.disks.values()}
    assert kinds["system"] == "cloud_efficiency"


@pytest.mark.parametrize("kind", ["cloud_essd_entry", "cloud_ssd"])
async def test_a_data_disk_of_no_kind_is_refused_as_ecs_would(world: World, kind: str) -> None:
    disks = [{"category": kind, "size": 40, "performance_level": "PL1"}]
    with refused(NO_KIND if kind == "cloud_essd_entry" else NO_LEVEL, 400):
        world.create_pool(desired_size=0, data_disks=disks)


def scripts(pre: int, post: int) -> dict[str, str]:
    """Return custom data of so many bytes, for before and after the node joins."""
    sizes = {"pre_user_data": pre, "user_data": post}
    return {name: base64.b64encode(b"#" * size).decode() for name, size in sizes.items()}


async def test_both_scripts_together_have_32_kib_at_most(world: World) -> None:
    body = world.description(desired_size=0)
    path = world.pools()
    with refused("InvalidParameter", 400):
        config = scripts(16384, 16385)
        world.ack("CreateClusterNodePool", path, {**body, "kubernetes_config": config})
    config = scripts(16384, 16384)
    created = world.ack("CreateClusterNodePool", path, {**body, "kubernetes_config": config})
    await world.settle()
    with refused("InvalidParameter", 400):
        one = {"kubernetes_config": {"user_data": scripts(0, 16385)["user_data"]}}
        world.ack("ModifyClusterNodePool", f"{path}/{created['nodepool_id']}", one)


async def test_a_key_may_be_tainted_once_for_each_effect(world: World) -> None:
    taints = [{"key": "k", "effect": effect} for effect in ("NoSchedule", "NoExecute")]
    body = {**world.description(desired_size=0), "kubernetes_config": {"taints": taints}}
    pool_id = world.ack("CreateClusterNodePool", world.pools(), body)["nodepool_id"]
    assert world.detail(pool_id)["kubernetes_config"]["taints"] == taints


@pytest.mark.parametrize("field", ["instance_types", "vswitch_ids", "security_group_ids"])
async def test_modify_refuses_a_pool_without_what_its_nodes_need(world: World, field: str) -> None:
    pool_id = await world.pool(desired_size=0)
    kept = world.detail(pool_id)["scaling_group"]
    with refused("InvalidParameter", 400):
        world.modify(pool_id, **{field: []}, desired_size=1)
    assert world.detail(pool_id)["scaling_group"] == kept


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
