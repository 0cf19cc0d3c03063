"""Which call of ACK is allowed in which state, and with what it is refused else."""

from __future__ import annotations

import asyncio

import pytest

from tests.emulator.state_tables import NODE_DISK, Put, Refusal, cells, check
from tests.emulator.world import PUBLIC_KEY, TASK_S, World, refused

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
