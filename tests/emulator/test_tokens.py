"""ClientToken: one effect for any number of the same call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator import ecs
from tests.emulator.world import SETTINGS, World, refused

Call = Callable[..., Any]


async def run_instances(world: World) -> Call:
    return world.run


async def create_snapshot(world: World) -> Call:
    disk_id = world.data_disk(await world.stopped())["DiskId"]
    return lambda **params: world.ecs("CreateSnapshot", DiskId=disk_id, **params)["SnapshotId"]


async def run_command(world: World) -> Call:
    instance_id = await world.running()
    return lambda **params: world.command(instance_id, **params)


CALLS = {
    "RunInstances": run_instances,
    "CreateSnapshot": create_snapshot,
    "RunCommand": run_command,
}
OTHER = {
    "RunInstances": {"InstanceName": "another"},
    "CreateSnapshot": {"SnapshotName": "another"},
    "RunCommand": {"CommandContent": "false"},
}
BAD = {
    "RunInstances": ({"ImageId": "m-unknown"}, "InvalidImageId.NotFound"),
    "CreateSnapshot": ({"SnapshotName": "auto"}, "InvalidSnapshotName.Malformed"),
    "RunCommand": ({"Timeout": "86401"}, "InvalidTimeout.ExceedLimit"),
}


def effects(world: World) -> tuple[int, int, int, int]:
    cloud = world.cloud
    commands = len(cloud.invocations)
    return len(cloud.instances), len(cloud.disks), len(cloud.snapshots), commands


def test_every_action_with_a_token_in_the_api_obeys_it_here() -> None:
    with_token = {
        name for name, action in ecs.ACTIONS.items() if "ClientToken" in action.call.fields
    }
    assert with_token == set(CALLS)
    assert all(ecs.ACTIONS[name].call.emulates("ClientToken") for name in with_token)


@pytest.mark.parametrize("action", CALLS)
async def test_the_same_call_again_has_the_first_answer_and_no_effect(
    world: World, action: str
) -> None:
    call = await CALLS[action](world)
    first = call(ClientToken="t")
    after = effects(world)
    await world.settle()
    assert [call(ClientToken="t") for _ in range(3)] == [first] * 3
    assert effects(world) == after
    await world.settle()
    assert effects(world) == after


@pytest.mark.parametrize("action", CALLS)
async def test_another_call_with_the_token_is_refused(world: World, action: str) -> None:
    call = await CALLS[action](world)
    call(ClientToken="t")
    after = effects(world)
    with refused("IdempotentParameterMismatch", 403):
        call(ClientToken="t", **OTHER[action])
    assert effects(world) == after


async def test_tokens_are_told_apart_by_case_and_by_action(world: World) -> None:
    snapshot, run = await create_snapshot(world), await run_instances(world)
    snapshot(ClientToken="t")
    assert run(ClientToken="t") != run(ClientToken="T")


@pytest.mark.parametrize("action", CALLS)
async def test_a_refused_call_does_not_use_its_token_up(world: World, action: str) -> None:
    call = await CALLS[action](world)
    params, code = BAD[action]
    with refused(code):
        call(ClientToken="t", **params)
    assert call(ClientToken="t")


async def test_a_dry_run_does_not_use_its_token_up(world: World) -> None:
    with refused("DryRunOperation", 400):
        world.run(ClientToken="t", DryRun="True")
    assert world.run(ClientToken="t")


@pytest.mark.parametrize("action", CALLS)
async def test_a_token_counts_as_in_flight_for_as_long_as_the_setting_says(
    tmp_path: Path, action: str
) -> None:
    world = World(tmp_path, replace(SETTINGS, token_processing_s=60))
    call = await CALLS[action](world)
    first = call(ClientToken="t")
    await world.move(59)
    with refused("IdempotentProcessing", 403):
        call(ClientToken="t")
    with refused("IdempotentParameterMismatch", 403):  # waiting would not make that one right
        call(ClientToken="t", **OTHER[action])
    await world.move(1)
    assert call(ClientToken="t") == first
    await world.cloud.close()


async def test_a_token_is_in_flight_until_its_answer_is_sent(world: World) -> None:
    first = world.run(ClientToken="t")
    with world.cloud.tokens.in_flight("RunInstances", "t"):
        with refused("IdempotentProcessing", 403):
            world.run(ClientToken="t")
        world.run(ClientToken="other")
    assert world.run(ClientToken="t") == first


@pytest.mark.parametrize("token", ["x" * 65, "é", "a b", "tab\t"], ids=repr)
async def test_a_token_is_up_to_64_ascii_characters(world: World, token: str) -> None:
    with refused("InvalidClientToken.ValueNotSupported", 400):
        world.run(ClientToken=token)
    assert world.run(ClientToken="x" * 64)
