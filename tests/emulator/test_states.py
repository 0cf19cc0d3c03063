"""Which call is allowed in which state, and with what code and HTTP status it is refused else."""

from __future__ import annotations

import asyncio

import pytest

from emulator.faults import Stuck
from tests.emulator.state_tables import Put, Refusal, cells, check
from tests.emulator.world import World, refused

# -- instances

INITIALIZING = ("IncorrectInstanceStatus.Initializing", 403)
WRONG = ("IncorrectInstanceStatus", 403)
NO_INSTANCE = ("InvalidInstanceId.NotFound", 404)
ONLY_STOPPED: dict[str, Refusal] = {
    "Pending": INITIALIZING,
    "Starting": WRONG,
    "Running": WRONG,
    "Stopping": WRONG,
    "Stopped": None,
    "being released": WRONG,
    "absent": NO_INSTANCE,
}
INSTANCE_CALLS: dict[str, dict[str, Refusal]] = {
    "StartInstance": ONLY_STOPPED,
    "StopInstance": {**ONLY_STOPPED, "Running": None, "Stopped": WRONG},
    "DeleteInstance": ONLY_STOPPED,
    "DeleteInstance Force": {**ONLY_STOPPED, "Running": None},
    "DescribeInstanceStatus": {**dict.fromkeys(ONLY_STOPPED), "absent": NO_INSTANCE},
}


async def starting(world: World) -> str:
    world.machines.held["start"] = asyncio.Event()
    return await world.running()


async def stopping(world: World) -> str:
    instance_id = await world.running()
    world.ecs("StopInstance", InstanceId=instance_id)
    return instance_id


async def being_released(world: World) -> str:
    world.machines.held["destroy"] = asyncio.Event()
    instance_id = await world.stopped(DataDisk__1__DeleteWithInstance="False")
    world.ecs("DeleteInstance", InstanceId=instance_id)
    await world.move(0)
    return instance_id


async def released(world: World) -> str:
    instance_id = await world.stopped(DataDisk__1__DeleteWithInstance="False")
    world.ecs("DeleteInstance", InstanceId=instance_id)
    await world.settle()
    return instance_id


async def pending(world: World) -> str:
    return world.run()


INSTANCE_STATES: dict[str, Put] = {
    "Pending": pending,
    "Starting": starting,
    "Running": World.running,
    "Stopping": stopping,
    "Stopped": World.stopped,
    "being released": being_released,
    "absent": released,
}


@pytest.mark.parametrize(("call", "state", "refusal"), cells(INSTANCE_CALLS))
async def test_a_call_on_an_instance(world: World, call: str, state: str, refusal: Refusal) -> None:
    instance_id = await INSTANCE_STATES[state](world)
    action, _, force = call.partition(" ")
    params = {"Force": "True"} if force else {}
    if action == "DescribeInstanceStatus":
        params = {"RegionId": "cn-hangzhou", "InstanceId.1": instance_id}
    else:
        params["InstanceId"] = instance_id
    check(world, lambda: world.ecs(action, **params), refusal)


@pytest.mark.parametrize("state", INSTANCE_STATES)
async def test_a_dry_run_is_refused_in_the_same_states(world: World, state: str) -> None:
    instance_id = await INSTANCE_STATES[state](world)
    refusal = INSTANCE_CALLS["DeleteInstance"][state] or ("DryRunOperation", 400)
    with refused(*refusal):
        world.ecs("DeleteInstance", InstanceId=instance_id, DryRun="True")


# -- disks

NO_DISK = ("InvalidDiskId.NotFound", 404)
WRONG_DISK = ("IncorrectDiskStatus", 403)
NEVER_ATTACHED = ("IncorrectDiskStatus.NeverAttached", 403)
DISK_CALLS: dict[str, dict[str, Refusal]] = {
    "DeleteDisk": {
        "Creating": WRONG_DISK,
        "Attaching": WRONG_DISK,
        "In_use": WRONG_DISK,
        "Detaching": WRONG_DISK,
        "Available": None,
        "absent": NO_DISK,
    },
    "CreateSnapshot": {
        "Creating": NEVER_ATTACHED,
        "Attaching": NEVER_ATTACHED,
        "In_use": None,
        "of a stopping instance": ("IncorrectInstanceStatus", 400),
        "Detaching": WRONG_DISK,
        "Available": None,
        "being snapshot": ("IncorrectDiskStatus.CreatingSnapshot", 403),
        "absent": NO_DISK,
    },
}


async def attaching(world: World) -> str:
    world.cloud.faults.add(Stuck(resource="disk", state="Attaching"))
    return await world.running()


async def being_snapshot(world: World) -> str:
    instance_id = await world.stopped()
    world.ecs("CreateSnapshot", DiskId=world.data_disk(instance_id)["DiskId"])
    return instance_id


async def without_disks(world: World) -> str:
    instance_id = await released(world)
    world.cloud.disks.clear()
    return instance_id


DISK_STATES: dict[str, Put] = {
    "Creating": pending,
    "Attaching": attaching,
    "In_use": World.running,
    "of a stopping instance": stopping,
    "Detaching": being_released,
    "Available": released,
    "being snapshot": being_snapshot,
    "absent": without_disks,
}


@pytest.mark.parametrize(("call", "state", "refusal"), cells(DISK_CALLS))
async def test_a_call_on_a_disk(world: World, call: str, state: str, refusal: Refusal) -> None:
    await DISK_STATES[state](world)
    disks = [disk for disk in world.cloud.disks.values() if disk.type == "data"]
    if state in DISK_CALLS["DeleteDisk"] and state != "absent":
        assert [disk.status for disk in disks] == [state]
    disk_id = disks[0].disk_id if disks else "d-unknown"
    check(world, lambda: world.ecs(call, DiskId=disk_id), refusal)


async def test_a_disk_stays_in_use_when_its_instance_could_not_be_released(world: World) -> None:
    disk = {"DataDisk.1.Category": "cloud_essd", "DataDisk.1.Size": 40}
    kept = {"DataDisk.1.DeleteWithInstance": False}
    order = world.order(**disk, **kept)
    (instance_id,) = world.ecs("RunInstances", **order)["InstanceIdSets"]["InstanceIdSet"]
    await world.settle()
    world.machines.fails.add("destroy")
    world.ecs("DeleteInstance", InstanceId=instance_id, Force=True)
    await world.settle()
    (found,) = world.ecs("DescribeDisks", RegionId="cn-hangzhou", DiskType="data")["Disks"]["Disk"]
    assert found["Status"] == "In_use"
    world.machines.fails.clear()
    world.ecs("DeleteInstance", InstanceId=instance_id, Force=True)
    await world.settle()
    (found,) = world.ecs("DescribeDisks", RegionId="cn-hangzhou", DiskType="data")["Disks"]["Disk"]
    assert found["Status"] == "Available"
