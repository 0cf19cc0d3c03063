"""Snapshots: which call is allowed in which of their states, and how they move with the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from emulator.faults import SnapshotFailed
from tests.emulator.state_tables import Refusal, cells, check
from tests.emulator.world import UPLOAD_S, World

NOT_READY = ("InvalidSnapshotId.NotReady", 403)
NO_SNAPSHOT = ("InvalidSnapshotId.NotFound", 404)
BAD = ("InvalidParameter", 400)
CALLS: dict[str, dict[str, Refusal]] = {
    "DeleteSnapshot": {
        "not cloned": None,
        "progressing": None,
        "accomplished": None,
        "failed": None,
        "used by a disk": ("SnapshotCreatedDisk", 403),
        "absent": NO_SNAPSHOT,
    },
    "RunInstances": {
        "not cloned": NOT_READY,
        "progressing": None,  # as soon as it is Available
        "accomplished": None,
        "failed": NOT_READY,
        "used by a disk": None,
        "absent": ("InvalidDataDiskSnapshotId.NotFound", 404),
    },
    "CreateClusterNodePool": {
        "not cloned": BAD,
        "progressing": BAD,
        "accomplished": None,
        "failed": BAD,
        "used by a disk": None,
        "absent": NO_SNAPSHOT,
    },
}


async def progressing(world: World) -> str:
    disk = world.data_disk(await world.stopped())
    snapshot_id: str = world.ecs("CreateSnapshot", DiskId=disk["DiskId"])["SnapshotId"]
    await world.move(0)
    return snapshot_id


async def not_cloned(world: World) -> str:
    world.machines.held["snapshot"] = asyncio.Event()
    return await progressing(world)


async def failed(world: World) -> str:
    world.cloud.faults.add(SnapshotFailed(at_percent=0))
    return await progressing(world)


async def used(world: World) -> str:
    snapshot_id = await world.accomplished()
    await world.running(DataDisk__1__SnapshotId=snapshot_id)
    return snapshot_id


async def absent(world: World) -> str:
    snapshot_id = await progressing(world)
    world.ecs("DeleteSnapshot", SnapshotId=snapshot_id)
    return snapshot_id


STATES: dict[str, Callable[[World], Awaitable[str]]] = {
    "not cloned": not_cloned,
    "progressing": progressing,
    "accomplished": World.accomplished,
    "failed": failed,
    "used by a disk": used,
    "absent": absent,
}


@pytest.mark.parametrize(("call", "state", "refusal"), cells(CALLS))
async def test_a_call_with_a_snapshot(
    world: World, call: str, state: str, refusal: Refusal
) -> None:
    snapshot_id = await STATES[state](world)

    def made() -> object:
        if call == "DeleteSnapshot":
            return world.ecs(call, SnapshotId=snapshot_id)
        if call == "RunInstances":
            return world.run(DataDisk__1__SnapshotId=snapshot_id)
        disk = {"category": "cloud_essd", "size": 40, "snapshot_id": snapshot_id}
        return world.create_pool(data_disks=[disk], desired_size=0)

    check(world, made, refusal)


async def test_progress_and_remaining_time_move_with_the_clock(world: World) -> None:
    snapshot_id = await progressing(world)
    seen = []
    for _ in range(4):
        shown = world.snapshot(snapshot_id)
        assert shown is not None
        seen.append((shown["Status"], shown["Progress"], shown["Available"]))
        assert 0 < shown["RemainTime"] <= UPLOAD_S
        await world.move(UPLOAD_S / 4)
    percents = [int(progress.removesuffix("%")) for _, progress, _ in seen]
    assert percents == sorted(percents)
    assert [round(percent, -1) for percent in percents] == [0, 20, 50, 80]
    assert {(status, available) for status, _, available in seen} == {("progressing", True)}
    shown = world.snapshot(snapshot_id)
    assert shown is not None
    assert (shown["Status"], shown["Progress"], shown["RemainTime"]) == ("accomplished", "100%", 0)
    assert shown["LastModifiedTime"] > shown["CreationTime"]


async def test_a_snapshot_keeps_the_progress_that_it_failed_at(world: World) -> None:
    snapshot_id = await progressing(world)
    await world.move(UPLOAD_S * 0.6)
    world.ecs("DeleteInstance", InstanceId=next(iter(world.cloud.instances)))
    await world.move(0)
    await world.move(UPLOAD_S)
    shown = world.snapshot(snapshot_id)
    assert shown is not None
    assert (shown["Status"], shown["Progress"], shown["Available"]) == ("failed", "60%", False)
    assert not world.machines.snapshots, "what was stored of it is still there"


async def test_deleting_a_kept_disk_fails_the_snapshot_that_is_being_taken_of_it(
    world: World,
) -> None:
    instance_id = await world.stopped(DataDisk__1__DeleteWithInstance="False")
    disk_id = world.data_disk(instance_id)["DiskId"]
    world.ecs("DeleteInstance", InstanceId=instance_id)
    await world.settle()
    snapshot_id = world.ecs("CreateSnapshot", DiskId=disk_id)["SnapshotId"]
    await world.move(0)
    world.ecs("DeleteDisk", DiskId=disk_id)
    assert world.snapshot(snapshot_id)["Status"] == "failed"  # type: ignore[index]
