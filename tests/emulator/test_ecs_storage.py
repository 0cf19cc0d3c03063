"""Snapshots and disks: refusals, progress, and what happens to one when the other goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.emulator.world import UPLOAD_S, World, refused


async def create(world: World, **params: Any) -> str:
    disk = world.data_disk(await world.stopped())
    snapshot_id: str = world.ecs("CreateSnapshot", DiskId=disk["DiskId"], **params)["SnapshotId"]
    await world.move(0)
    return snapshot_id


async def test_a_snapshot_makes_progress_with_the_clock(world: World) -> None:
    snapshot_id = await create(world)
    await world.move(UPLOAD_S * 0.37)
    shown = world.snapshot(snapshot_id)
    assert shown is not None
    assert (shown["Status"], shown["Progress"], shown["Available"]) == ("progressing", "37%", True)
    assert 0 < shown["RemainTime"] <= UPLOAD_S
    await world.move(UPLOAD_S)
    shown = world.snapshot(snapshot_id)
    assert shown is not None
    assert (shown["Status"], shown["Progress"]) == ("accomplished", "100%")
    assert shown["RemainTime"] == 0
    assert shown["SourceDiskSize"] == "40"


async def test_a_snapshot_is_not_available_before_its_disk_is_cloned(world: World) -> None:
    world.machines.held["snapshot"] = asyncio.Event()
    shown = world.snapshot(await create(world))
    assert shown is not None
    assert (shown["Progress"], shown["Available"]) == ("0%", False)


async def test_a_clone_that_fails_makes_a_failed_snapshot(world: World) -> None:
    world.machines.fails.add("snapshot")
    shown = world.snapshot(await create(world))
    assert shown is not None
    assert (shown["Status"], shown["Available"]) == ("failed", False)


async def test_one_snapshot_of_a_disk_at_a_time(world: World) -> None:
    snapshot_id = await create(world)
    disk_id = world.cloud.snapshots[snapshot_id].disk_id
    with refused("IncorrectDiskStatus.CreatingSnapshot", 403):
        world.ecs("CreateSnapshot", DiskId=disk_id)
    await world.move(UPLOAD_S)
    world.ecs("CreateSnapshot", DiskId=disk_id)


async def test_a_disk_that_was_never_attached_gives_no_snapshot(world: World) -> None:
    world.run()
    disk_id = next(disk.disk_id for disk in world.cloud.disks.values() if disk.type == "data")
    with refused("IncorrectDiskStatus.NeverAttached", 403):
        world.ecs("CreateSnapshot", DiskId=disk_id)


async def test_a_stopping_instance_gives_no_snapshot(world: World) -> None:
    instance_id = await world.running()
    disk_id = world.data_disk(instance_id)["DiskId"]
    world.ecs("StopInstance", InstanceId=instance_id)
    with refused("IncorrectInstanceStatus", 400):
        world.ecs("CreateSnapshot", DiskId=disk_id)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"DiskId": "d-unknown"}, "InvalidDiskId.NotFound"),
        ({"SnapshotName": "auto-1"}, "InvalidSnapshotName.Malformed"),
        ({"SnapshotName": "x"}, "InvalidSnapshotName.Malformed"),
        ({"SnapshotName": "https://x"}, "InvalidSnapshotName.Malformed"),
        ({"Description": "x"}, "InvalidDescription.Malformed"),
        ({"RetentionDays": 0}, "InvalidRetentionDays.Malformed"),
        ({"RetentionDays": "1.5"}, "InvalidParameter"),
        ({"Category": "Flash"}, "EmulatorUnsupported"),
        ({"Category": "Slow"}, "InvalidSnapshotCategory.Malformed"),
        ({"InstantAccess": "True"}, "EmulatorUnsupported"),
        ({"RegionId": "cn-hangzhou"}, "InvalidParameter"),
    ],
    ids=str,
)
async def test_create_snapshot_refuses(world: World, params: Any, code: str) -> None:
    disk = world.data_disk(await world.stopped())
    with refused(code):
        world.ecs("CreateSnapshot", **{"DiskId": disk["DiskId"], **params})


async def test_a_snapshot_of_a_system_disk_is_not_emulated(world: World) -> None:
    system = world.cloud.instances[await world.stopped()].disk_ids[0]
    with refused("EmulatorUnsupported"):
        world.ecs("CreateSnapshot", DiskId=system)


async def test_the_same_token_gives_the_same_snapshot(world: World) -> None:
    disk = world.data_disk(await world.stopped())
    params = {"DiskId": disk["DiskId"], "ClientToken": "t"}
    assert world.ecs("CreateSnapshot", **params) == world.ecs("CreateSnapshot", **params)
    with refused("IdempotentParameterMismatch", 403):
        world.ecs("CreateSnapshot", **params, SnapshotName="other")


async def test_a_snapshot_fails_when_its_disk_goes_before_it_is_uploaded(world: World) -> None:
    snapshot_id = await create(world)
    instance_id = next(iter(world.cloud.instances))
    world.ecs("DeleteInstance", InstanceId=instance_id)
    await world.move(0)
    assert world.snapshot(snapshot_id)["Status"] == "failed"  # type: ignore[index]


async def test_an_uploaded_snapshot_outlives_its_disk(world: World) -> None:
    snapshot_id = await world.accomplished()
    world.ecs("DeleteInstance", InstanceId=next(iter(world.cloud.instances)))
    await world.settle()
    assert world.snapshot(snapshot_id)["Status"] == "accomplished"  # type: ignore[index]


async def test_a_snapshot_in_use_is_deleted_by_force_only(world: World) -> None:
    snapshot_id = await world.accomplished()
    instance_id = await world.running(DataDisk__1__SnapshotId=snapshot_id, DataDisk__1__Size=40)
    assert world.data_disk(instance_id)["SourceSnapshotId"] == snapshot_id
    assert world.snapshot(snapshot_id)["Usage"] == "disk"  # type: ignore[index]
    with refused("SnapshotCreatedDisk", 403):
        world.ecs("DeleteSnapshot", SnapshotId=snapshot_id)
    world.ecs("DeleteSnapshot", SnapshotId=snapshot_id, Force="true")
    await world.move(0)
    assert snapshot_id not in world.machines.snapshots
    with refused("InvalidSnapshotId.NotFound", 404):
        world.ecs("DeleteSnapshot", SnapshotId=snapshot_id)


async def test_a_snapshot_that_a_node_pool_names_can_be_deleted(world: World) -> None:
    snapshot_id = await world.accomplished()
    await world.pool(
        data_disks=[{"category": "cloud_essd", "size": 40, "snapshot_id": snapshot_id}],
        desired_size=0,
    )
    world.ecs("DeleteSnapshot", SnapshotId=snapshot_id)


async def test_a_snapshot_in_progress_is_cancelled_by_its_deletion(world: World) -> None:
    world.machines.held["snapshot"] = held = asyncio.Event()
    snapshot_id = await create(world)
    world.ecs("DeleteSnapshot", SnapshotId=snapshot_id)
    held.set()
    await world.settle()
    assert not world.machines.snapshots


async def test_a_snapshot_goes_after_its_retention_days(world: World) -> None:
    snapshot_id = await create(world, RetentionDays=2)
    await world.move(2 * 86400 - UPLOAD_S)
    assert world.snapshot(snapshot_id)["RetentionDays"] == 2  # type: ignore[index]
    await world.move(2 * UPLOAD_S)
    assert world.snapshot(snapshot_id) is None
    assert not world.machines.snapshots


async def test_a_disk_is_never_smaller_than_its_snapshot(world: World) -> None:
    snapshot_id = await world.accomplished()
    with refused("InvalidDiskSize.TooSmall", 403):
        world.run(DataDisk__1__SnapshotId=snapshot_id, DataDisk__1__Size=20)
    instance_id = await world.running(DataDisk__1__SnapshotId=snapshot_id, DataDisk__1__Size=100)
    assert world.data_disk(instance_id)["Size"] == 40  # the API: Size is ignored


async def test_a_failed_snapshot_makes_no_disk(world: World) -> None:
    world.machines.fails.add("snapshot")
    snapshot_id = await create(world)
    with refused("InvalidSnapshotId.NotReady", 403):
        world.run(DataDisk__1__SnapshotId=snapshot_id)


async def test_a_disk_that_is_kept_is_available_and_can_be_deleted(world: World) -> None:
    instance_id = await world.stopped(DataDisk__1__DeleteWithInstance="False")
    disk_id = world.data_disk(instance_id)["DiskId"]
    with refused("IncorrectDiskStatus", 403):
        world.ecs("DeleteDisk", DiskId=disk_id)
    world.ecs("DeleteInstance", InstanceId=instance_id)
    await world.settle()
    assert [disk.status for disk in world.cloud.disks.values()] == ["Available"]
    world.ecs("CreateSnapshot", DiskId=disk_id)
    await world.settle()
    world.ecs("DeleteDisk", DiskId=disk_id)
    await world.settle()
    assert not world.cloud.disks
    assert not world.machines.disks
    with refused("InvalidDiskId.NotFound", 404):
        world.ecs("DeleteDisk", DiskId=disk_id)


async def test_disks_are_found_by_what_they_are(world: World) -> None:
    await world.running()

    def kinds(**params: Any) -> list[str]:
        body = world.ecs("DescribeDisks", RegionId="cn-hangzhou", **params)
        return [each["Type"] for each in body["Disks"]["Disk"]]

    assert kinds() == ["system", "data"]
    assert kinds(DiskType="all", Status="All") == ["system", "data"]
    assert kinds(DiskType="system") == ["system"]
    assert kinds(Status="Available") == []
    with refused("InvalidParameter"):
        kinds(DiskType="floppy")


async def test_snapshots_are_found_by_what_they_are(world: World) -> None:
    snapshot_id = await create(world, Tag__1__Key="run", Tag__1__Value="1")
    disk_id = world.cloud.snapshots[snapshot_id].disk_id

    def ids(**params: Any) -> list[str]:
        body = world.ecs("DescribeSnapshots", RegionId="cn-hangzhou", **params)
        return [each["SnapshotId"] for each in body["Snapshots"]["Snapshot"]]

    assert ids(DiskId=disk_id, Status="progressing", Usage="none") == [snapshot_id]
    assert ids(Tag__1__Key="run", Tag__1__Value="1", Status="all") == [snapshot_id]
    assert ids(Tag__1__Key="run", Tag__1__Value="2") == []
    assert ids(Status="accomplished") == []
