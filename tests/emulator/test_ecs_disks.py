"""Disks: what they are made of and keep of it, and what is left of them when a boot fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.emulator.world import BOOT_S, UPLOAD_S, World, refused


async def progressing(world: World, **disk: Any) -> str:
    """Return a snapshot whose disk is cloned and not uploaded."""
    source = world.data_disk(await world.stopped(**disk))
    snapshot_id: str = world.ecs("CreateSnapshot", DiskId=source["DiskId"])["SnapshotId"]
    await world.move(0)
    return snapshot_id


def available(world: World, snapshot_id: str) -> bool:
    found = world.snapshot(snapshot_id)
    assert found is not None
    told: bool = found["Available"]
    return told


async def test_a_disk_may_be_made_of_an_essd_before_it_is_uploaded(world: World) -> None:
    snapshot_id = await progressing(world)
    assert available(world, snapshot_id)
    assert world.run(DataDisk__1__SnapshotId=snapshot_id)


@pytest.mark.parametrize("category", ["cloud_auto", "cloud_ssd", "cloud_efficiency"])
async def test_a_disk_of_another_category_is_available_when_it_is_uploaded(
    world: World, category: str
) -> None:
    snapshot_id = await progressing(world, DataDisk__1__Category=category)
    assert not available(world, snapshot_id)
    with refused("InvalidSnapshotId.NotReady", 403):
        world.run(DataDisk__1__SnapshotId=snapshot_id)
    await world.move(UPLOAD_S)
    assert available(world, snapshot_id)
    assert world.run(DataDisk__1__SnapshotId=snapshot_id)


async def test_what_is_stored_of_a_deleted_snapshot_stays_until_its_disks_are_made(
    world: World,
) -> None:
    snapshot_id = await world.accomplished()
    world.machines.held["create disk"] = held = asyncio.Event()
    ids = [world.run(DataDisk__1__SnapshotId=snapshot_id) for _ in range(2)]
    world.ecs("DeleteSnapshot", SnapshotId=snapshot_id, Force="true")
    await world.move(0)
    await world.move(BOOT_S)
    assert world.snapshot(snapshot_id) is None
    assert snapshot_id in world.machines.snapshots
    held.set()
    await world.settle()
    assert [world.status(each) for each in ids] == ["Running", "Running"]
    assert snapshot_id not in world.machines.snapshots


async def test_what_is_stored_of_a_deleted_snapshot_goes_when_its_disk_cannot_be_made(
    world: World,
) -> None:
    snapshot_id = await world.accomplished()
    world.machines.fails.add("create disk")
    world.run(DataDisk__1__SnapshotId=snapshot_id)
    world.ecs("DeleteSnapshot", SnapshotId=snapshot_id, Force="true")
    await world.move(0)
    assert snapshot_id in world.machines.snapshots
    await world.settle()
    assert snapshot_id not in world.machines.snapshots


@pytest.mark.parametrize("step", ["create disk", "start"])
async def test_a_boot_that_fails_keeps_no_disk(world: World, step: str) -> None:
    world.machines.fails.add(step)
    await world.running(DataDisk__1__DeleteWithInstance="false")
    assert not world.cloud.disks
    assert not world.machines.disks


@pytest.mark.parametrize(
    ("params", "level"),
    [
        ({}, "PL1"),
        ({"DataDisk__1__PerformanceLevel": "PL0"}, "PL0"),
        ({"DataDisk__1__Category": "cloud_auto"}, ""),
        ({"DataDisk__1__Category": "cloud_efficiency"}, ""),
    ],
    ids=str,
)
async def test_an_essd_alone_has_a_performance_level(
    world: World, params: dict[str, str], level: str
) -> None:
    assert world.data_disk(world.run(**params))["PerformanceLevel"] == level


async def test_a_disk_is_encrypted_as_its_snapshot_is(world: World) -> None:
    snapshot_id = await progressing(world, DataDisk__1__Encrypted="true")
    for given in (None, "true", "True"):
        disk = {"DataDisk__1__SnapshotId": snapshot_id, "DataDisk__1__Encrypted": given}
        assert world.data_disk(world.run(**disk))["Encrypted"] is True
    with refused("InvalidParameter", 400):
        world.run(DataDisk__1__SnapshotId=snapshot_id, DataDisk__1__Encrypted="false")


async def test_a_node_s_disk_is_encrypted_as_its_snapshot_is(world: World) -> None:
    snapshot_id = await progressing(world, DataDisk__1__Encrypted="true")
    await world.move(UPLOAD_S)
    disk = {"category": "cloud_essd", "size": 40, "snapshot_id": snapshot_id}
    await world.pool(data_disks=[disk], desired_size=1)
    await world.settle()
    (made,) = [d for d in world.cloud.disks.values() if d.source_snapshot_id == snapshot_id]
    assert made.encrypted


async def test_a_disk_has_its_description(world: World) -> None:
    instance_id = world.run(DataDisk__1__Description="what is preloaded")
    assert world.data_disk(instance_id)["Description"] == "what is preloaded"
    for bad in ("x", "http://x", "x" * 257):
        with refused("InvalidDiskDescription.Malformed", 400):
            world.run(DataDisk__1__Description=bad)


@pytest.mark.parametrize("name", ["InstanceId", "SnapshotId", "DiskName", "ZoneId"])
@pytest.mark.parametrize("value", ["all", "All"])
async def test_all_means_every_disk_only_where_the_api_says_so(
    world: World, name: str, value: str
) -> None:
    world.run()
    body = world.ecs("DescribeDisks", RegionId="cn-hangzhou", **{name: value})
    assert body["Disks"]["Disk"] == []
    body = world.ecs("DescribeDisks", RegionId="cn-hangzhou", DiskType="all", Category="all")
    assert len(body["Disks"]["Disk"]) == 2


@pytest.mark.parametrize("name", ["DiskId", "SnapshotName"])
async def test_all_means_every_snapshot_only_where_the_api_says_so(world: World, name: str) -> None:
    await progressing(world)
    for params, shown in (({name: "all"}, 0), ({"Status": "all", "SnapshotType": "all"}, 1)):
        body = world.ecs("DescribeSnapshots", RegionId="cn-hangzhou", **params)
        assert len(body["Snapshots"]["Snapshot"]) == shown
