"""Which call is allowed in which state, and with what code and HTTP status it is refused else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from emulator.faults import Stuck
from tests.emulator.world import PUBLIC_KEY, TASK_S, World, refused

Refusal = tuple[str, int] | None  # code and status; None where the call is allowed
Put = Callable[[World], Awaitable[str]]  # brings a resource into a state and returns its id
NODE_DISK = [{"category": "cloud_essd", "size": 40}]


def cells(table: dict[str, dict[str, Refusal]]) -> list[Any]:
    return [
        pytest.param(call, state, refusal, id=f"{call} - {state}")
        for call, row in table.items()
        for state, refusal in row.items()
    ]


def check(world: World, call: Callable[[], object], refusal: Refusal) -> None:
    """Make a call that is allowed, or that is refused in just this way."""
    if refusal is None:
        call()
    else:
        with refused(*refusal):
            call()


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


# -- node pools

FORBIDDEN = ("InvalidStatus.Forbidden", 400)
TRANSIENT: dict[str, Refusal] = {
    "initial": FORBIDDEN,
    "scaling": FORBIDDEN,
    "removing": FORBIDDEN,
    "updating": FORBIDDEN,
    "deleting": FORBIDDEN,
    "active": None,
    "absent": ("ErrorNodePoolNotFound", 404),
}
POOL_CALLS: dict[str, dict[str, Refusal]] = {
    "ModifyClusterNodePool": TRANSIENT,
    "ScaleClusterNodePool": TRANSIENT,
    "DeleteClusterNodepool": {**TRANSIENT, "active": ("NodePoolNotEmpty", 400)},
    "DeleteClusterNodepool force": TRANSIENT,
    "RemoveNodePoolNodes": TRANSIENT,
    "DescribeClusterNodePoolDetail": {
        **dict.fromkeys(TRANSIENT),
        "absent": ("ErrorNodePoolNotFound", 404),
    },
}


async def initial(world: World) -> str:
    return world.create_pool(desired_size=1)["nodepool_id"]


async def scaling(world: World) -> str:
    pool_id = await initial(world)
    world.machines.held["start"] = asyncio.Event()
    await world.move(0)
    await world.move(TASK_S)
    return pool_id


async def active(world: World) -> str:
    return await world.pool(desired_size=1)


async def removing(world: World) -> str:
    pool_id = await active(world)
    world.modify(pool_id, desired_size=0)
    return pool_id


async def updating(world: World) -> str:
    pool_id = await active(world)
    world.modify(pool_id, data_disks=NODE_DISK)
    return pool_id


async def deleting(world: World) -> str:
    pool_id = await active(world)
    world.ack("DeleteClusterNodepool", f"{world.pools()}/{pool_id}", force="True")
    return pool_id


async def deleted(world: World) -> str:
    pool_id = await deleting(world)
    await world.settle()
    return pool_id


POOL_STATES: dict[str, Put] = {
    "initial": initial,
    "scaling": scaling,
    "removing": removing,
    "updating": updating,
    "deleting": deleting,
    "active": active,
    "absent": deleted,
}


def change(world: World, call: str, pool_id: str) -> object:
    path = f"{world.pools()}/{pool_id}"
    match call:
        case "ModifyClusterNodePool":
            return world.modify(pool_id, desired_size=2)
        case "ScaleClusterNodePool":
            return world.ack(call, path, {"count": 1})
        case "RemoveNodePoolNodes":
            node = next(iter(world.cloud.instances), "i-unknown")
            ids = f'["{node}"]'
            return world.ack(call, f"{path}/nodes", instance_ids=ids, release_node="True")
        case "DeleteClusterNodepool force":
            return world.ack("DeleteClusterNodepool", path, force="True")
    return world.ack(call, path)


@pytest.mark.parametrize(("call", "state", "refusal"), cells(POOL_CALLS))
async def test_a_call_on_a_node_pool(world: World, call: str, state: str, refusal: Refusal) -> None:
    pool_id = await POOL_STATES[state](world)
    if state != "absent":
        assert world.detail(pool_id)["status"]["state"] == state
    check(world, lambda: change(world, call, pool_id), refusal)


@pytest.mark.parametrize("call", [*POOL_CALLS, "CreateClusterNodePool", "DescribeClusterNodes"])
async def test_an_unknown_cluster_is_not_found(world: World, call: str) -> None:
    pool_id, body = await active(world), world.description("other")
    world.cluster = "c-unknown"
    with refused("ErrorClusterNotFound", 404):
        if call == "CreateClusterNodePool":
            world.ack(call, world.pools(), body)
        elif call == "DescribeClusterNodes":
            world.nodes(pool_id)
        else:
            change(world, call, pool_id)


async def test_an_unknown_task_is_not_found(world: World) -> None:
    with refused("ErrorTaskNotFound", 404):
        world.task("T-unknown")


# -- key pairs


async def test_a_key_pair_is_imported_once_and_stays_while_an_instance_has_it(
    world: World,
) -> None:
    pair = {"RegionId": "cn-hangzhou", "KeyPairName": "kp", "PublicKeyBody": PUBLIC_KEY}
    world.ecs("ImportKeyPair", **pair)
    with refused("KeyPair.AlreadyExist", 400):
        world.ecs("ImportKeyPair", **pair)
    world.run(KeyPairName="kp")
    with refused("InvalidParameter.KeypairAlreadyAttachedInstance", 400):
        world.ecs("DeleteKeyPairs", RegionId="cn-hangzhou", KeyPairNames='["kp"]')
