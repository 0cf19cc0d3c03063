"""Instances: what is refused, and the states they go through."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.emulator.world import BOOT_S, PUBLIC_KEY, STOP_S, World, refused


async def test_an_instance_is_pending_until_its_boot_delay_has_passed(world: World) -> None:
    instance_id = world.run()
    await world.move(0)
    assert world.status(instance_id) == "Pending"
    await world.move(BOOT_S)
    assert world.status(instance_id) == "Running"


async def test_an_instance_is_starting_while_its_machine_boots(world: World) -> None:
    world.machines.held["start"] = held = asyncio.Event()
    instance_id = await world.running()
    assert world.status(instance_id) == "Starting"
    held.set()
    await world.move(0)
    assert world.status(instance_id) == "Running"


async def test_times_of_an_instance_have_no_seconds(world: World) -> None:
    shown = world.instance(await world.running())
    assert shown is not None
    for field in ("CreationTime", "StartTime"):
        assert len(shown[field]) == len("2024-04-14T22:32Z")


async def test_stop_start_and_delete_go_through_their_states(world: World) -> None:
    instance_id = await world.running()
    world.ecs("StopInstance", InstanceId=instance_id, StoppedMode="StopCharging")
    assert world.status(instance_id) == "Stopping"
    await world.move(0)
    await world.move(STOP_S)
    assert world.status(instance_id) == "Stopped"
    assert world.instance(instance_id)["StoppedMode"] == "StopCharging"  # type: ignore[index]
    world.ecs("StartInstance", InstanceId=instance_id)
    await world.move(0)
    await world.move(BOOT_S)
    assert world.status(instance_id) == "Running"
    world.ecs("DeleteInstance", InstanceId=instance_id, Force=True)
    await world.move(0)
    assert world.status(instance_id) == "gone"
    assert not world.machines.disks
    assert not world.machines.addresses


async def test_a_forced_stop_reaches_the_machine_as_such(world: World) -> None:
    instance_id = await world.running()
    world.ecs("StopInstance", InstanceId=instance_id, ForceStop="True")
    await world.settle()
    assert ("force stop", instance_id) in world.machines.steps


@pytest.mark.parametrize("action", ["StartInstance", "StopInstance", "DeleteInstance"])
async def test_an_instance_in_creation_takes_no_call(world: World, action: str) -> None:
    instance_id = world.run()
    with refused("IncorrectInstanceStatus.Initializing", 403):
        world.ecs(action, InstanceId=instance_id)


@pytest.mark.parametrize(
    ("action", "params"),
    [
        pytest.param("StartInstance", {}, id="start a running one"),
        pytest.param("DeleteInstance", {}, id="delete a running one without force"),
    ],
)
async def test_a_running_instance_refuses(world: World, action: str, params: Any) -> None:
    instance_id = await world.running()
    with refused("IncorrectInstanceStatus", 403):
        world.ecs(action, InstanceId=instance_id, **params)


async def test_a_stopped_instance_is_not_stopped_again(world: World) -> None:
    instance_id = await world.stopped()
    with refused("IncorrectInstanceStatus", 403):
        world.ecs("StopInstance", InstanceId=instance_id)


async def test_an_instance_that_is_being_released_takes_no_call(world: World) -> None:
    instance_id = await world.stopped()
    world.ecs("DeleteInstance", InstanceId=instance_id)
    with refused("IncorrectInstanceStatus", 403):
        world.ecs("DeleteInstance", InstanceId=instance_id)


@pytest.mark.parametrize("action", ["StartInstance", "StopInstance", "DeleteInstance"])
async def test_an_unknown_instance_is_not_found(world: World, action: str) -> None:
    with refused("InvalidInstanceId.NotFound", 404):
        world.ecs(action, InstanceId="i-unknown")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"RegionId": None}, "MissingParameter"),
        ({"RegionId": "us-west-1"}, "InvalidRegionId.NotFound"),
        ({"ImageId": None}, "MissingParameter"),
        ({"ImageId": "m-unknown"}, "InvalidImageId.NotFound"),
        ({"ImageFamily": "acs:lifsea_os_3_x64"}, "UnexpectedImageFamily.ImageIdSupplied"),
        ({"InstanceType": None}, "MissingParameter"),
        ({"InstanceType": "ecs.t1.small"}, "InvalidInstanceType.ValueNotSupported"),
        ({"SecurityGroupId": None}, "MissingParameter"),
        ({"SecurityGroupId": "sg-unknown"}, "InvalidSecurityGroupId.NotFound"),
        ({"SecurityGroupIds__1": "sg-1"}, "InvalidParameter"),
        ({"VSwitchId": None}, "MissingParameter"),
        ({"VSwitchId": "vsw-unknown"}, "InvalidVSwitchId.NotFound"),
        ({"ZoneId": "cn-hangzhou-x"}, "InvalidZoneId.NotFound"),
        ({"KeyPairName": "unknown"}, "InvalidKeyPairName.NotFound"),
        ({"Amount": 0}, "InvalidParameter"),
        ({"Amount": 101}, "InvalidParameter"),
        ({"Amount": "two"}, "InvalidParameter"),
        ({"Amount": 2, "MinAmount": 3}, "InvalidParameter"),
        ({"DataDisk__1__Category": "floppy"}, "InvalidDiskCategory.ValueNotSupported"),
        ({"DataDisk__1__Size": None}, "MissingParameter"),
        ({"DataDisk__1__SnapshotId": "s-unknown"}, "InvalidDataDiskSnapshotId.NotFound"),
        ({"DataDisk__1__Encrypted": "maybe"}, "InvalidParameter"),
        ({"DataDisk__3__Size": 40}, "InvalidParameter"),
        ({"DataDisk__1__DiskName": "1"}, "InvalidDiskName.Malformed"),
        ({"SystemDisk__Size": 10}, "InvalidSystemDiskSize"),
        ({"SystemDisk__Size": "big"}, "InvalidSystemDiskSize"),
        ({"SystemDisk__PerformanceLevel": "PL9"}, "InvalidPerformanceLevel.Malformed"),
        ({"UserData": "not base64!"}, "InvalidUserData.Base64FormatInvalid"),
        ({"HttpTokens": "sometimes"}, "InvalidHttpTokens.NotSupported"),
        ({"ClientToken": "x" * 65}, "InvalidClientToken.ValueNotSupported"),
        ({"Tag__1__Key": "aliyun-x"}, "InvalidTagKey.Malformed"),
        ({"Tag__1__Value": "no key"}, "MissingParameter"),
        (
            {"Tag__1__Key": "k", "Tag__1__Value": "1", "Tag__2__Key": "k"},
            "Duplicate.TagKey",
        ),
        ({"AutoReleaseTime": "tomorrow"}, "InvalidAutoReleaseTime.Malformed"),
        ({"AutoReleaseTime": "2020-01-01T00:00:00Z"}, "InvalidAutoReleaseTime.Malformed"),
        ({"Nonsense": "x"}, "InvalidParameter"),
        ({"DataDisk__1__Nonsense": "x"}, "InvalidParameter"),
        ({"instancetype": "x"}, "InvalidParameter"),
        ({"DataDisk__1__Device": "/dev/xvdc"}, "EmulatorUnsupported"),
        ({"LaunchTemplateId": "lt-1"}, "EmulatorUnsupported"),
        ({"InstanceChargeType": "PrePaid"}, "EmulatorUnsupported"),
        ({"InstanceChargeType": "Barter"}, "InvalidInstanceChargeType.ValueNotSupported"),
        ({"InternetMaxBandwidthOut": 5}, "EmulatorUnsupported"),
        ({"Password": "Secret-1234"}, "EmulatorUnsupported"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
)
async def test_run_instances_refuses(world: World, changes: Any, code: str) -> None:
    with refused(code):
        world.run(**changes)
    assert not world.cloud.instances
    assert not world.cloud.disks


async def test_user_data_larger_than_32_kib_is_refused(world: World) -> None:
    with refused("InvalidUserData.SizeExceeded", 400):
        world.run(UserData=base64.b64encode(b"x" * (32 * 1024 + 1)).decode())


async def test_user_data_and_key_reach_the_machine(world: World) -> None:
    world.ecs("ImportKeyPair", RegionId="cn-hangzhou", KeyPairName="kp", PublicKeyBody=PUBLIC_KEY)
    script = base64.b64encode(b"#!/bin/sh\n").decode()
    instance_id = await world.running(UserData=script, KeyPairName="kp", HostName="builder-1")
    spec = world.machines.specs[instance_id]
    assert spec.user_data == b"#!/bin/sh\n"
    assert spec.authorized_keys == (PUBLIC_KEY,)
    assert spec.hostname == "builder-1"
    assert [disk.device for disk in spec.disks] == ["/dev/vdb"]
    assert [disk.serial for disk in spec.disks] == [world.data_disk(instance_id)["SerialNumber"]]


async def test_a_dry_run_says_so_and_makes_nothing(world: World) -> None:
    with refused("DryRunOperation", 400):
        world.run(DryRun="True")
    assert not world.cloud.instances


async def test_a_dry_run_checks_first(world: World) -> None:
    with refused("InvalidImageId.NotFound"):
        world.run(DryRun="True", ImageId="m-unknown")


async def test_the_same_token_gives_the_same_instance(world: World) -> None:
    assert world.run(ClientToken="t") == world.run(ClientToken="t")
    assert len(world.cloud.instances) == 1


async def test_a_token_with_other_parameters_is_refused(world: World) -> None:
    world.run(ClientToken="t")
    with refused("IdempotentParameterMismatch", 403):
        world.run(ClientToken="t", Amount=2)


async def test_a_token_of_a_refused_call_is_not_used_up(world: World) -> None:
    with refused("InvalidImageId.NotFound"):
        world.run(ClientToken="t", ImageId="m-unknown")
    world.run(ClientToken="t")


async def test_an_instance_goes_at_its_auto_release_time(world: World) -> None:
    moment = world.cloud.now() + timedelta(minutes=40)
    instance_id = await world.running(AutoReleaseTime=f"{moment:%Y-%m-%dT%H:%M:%SZ}")
    await world.move(38 * 60)
    assert world.status(instance_id) == "Running"
    await world.move(2 * 60)
    assert world.status(instance_id) == "gone"
    assert not world.cloud.disks


async def test_tags_go_to_the_disks_too(world: World) -> None:
    instance_id = await world.running(Tag__1__Key="run", Tag__1__Value="r/1")
    assert world.data_disk(instance_id)["Tags"] == {"Tag": [{"TagKey": "run", "TagValue": "r/1"}]}


@pytest.mark.parametrize("step", ["create disk", "start"])
async def test_an_instance_whose_machine_fails_disappears_and_says_why(
    world: World, step: str
) -> None:
    world.machines.fails.add(step)
    instance_id = await world.running()
    assert world.status(instance_id) == "gone"
    assert not world.cloud.disks
    assert not world.machines.addresses
    assert f"{step} failed on purpose" in world.cloud.failure_of(instance_id)


async def test_a_machine_that_does_not_stop_leaves_its_instance_running(world: World) -> None:
    world.machines.fails.add("stop")
    instance_id = await world.stopped()
    assert world.status(instance_id) == "Running"


async def test_a_machine_that_cannot_be_destroyed_is_still_shown_and_can_be_tried_again(
    world: World,
) -> None:
    instance_id = await world.stopped()
    world.machines.fails.add("destroy")
    world.ecs("DeleteInstance", InstanceId=instance_id)
    await world.settle()
    assert world.status(instance_id) == "Stopped"
    assert "not released" in world.cloud.failure_of(instance_id)
    world.machines.fails.clear()
    world.ecs("DeleteInstance", InstanceId=instance_id)
    await world.settle()
    assert world.status(instance_id) == "gone"


async def test_pages_go_by_number_and_by_token(world: World) -> None:
    ids = world.ecs("RunInstances", **world.order(Amount=25))["InstanceIdSets"]["InstanceIdSet"]

    def shown(**params: Any) -> tuple[list[str], str]:
        body = world.ecs("DescribeInstances", RegionId="cn-hangzhou", **params)
        found = [each["InstanceId"] for each in body["Instances"]["Instance"]]
        return found, body["NextToken"]

    assert shown(PageNumber=2, PageSize=2) == (ids[2:4], "")
    first, token = shown(MaxResults=2)  # less than ten means ten, the API says
    del world.cloud.instances[ids[9]]  # the last of the page before is gone: the rest still comes
    second, token = shown(MaxResults=2, NextToken=token)
    third, end = shown(MaxResults=10, NextToken=token)
    assert (first + second + third, end) == (ids, "")
    with refused("InvalidParameter"):
        shown(NextToken="no token!")
    for other in ({"PageNumber": 1}, {"PageSize": 2}):
        with refused("InvalidParameter"):
            shown(MaxResults=2, **other)


async def test_instances_are_found_by_what_they_are(world: World) -> None:
    world.run(InstanceName="builder-1", Tag__1__Key="run", Tag__1__Value="1")
    world.run(InstanceName="other")

    def names(**params: Any) -> list[str]:
        body = world.ecs("DescribeInstances", RegionId="cn-hangzhou", **params)
        return [each["InstanceName"] for each in body["Instances"]["Instance"]]

    assert names(InstanceName="build*") == ["builder-1"]
    assert names(Tag__1__Key="run") == ["builder-1"]
    assert names(Tag__1__Key="run", Tag__1__Value="2") == []
    assert names(Status="Pending") == ["builder-1", "other"]
    assert names(Status="Running") == []
    with refused("InvalidStatus.ValueNotSupported"):
        names(Status="running")


@pytest.mark.parametrize("ids", ["i-1", "{}", "[]", "[1]", json.dumps(["i"] * 101)])
async def test_a_list_of_ids_is_a_json_array_of_up_to_100(world: World, ids: str) -> None:
    with refused("InvalidParameter"):
        world.ecs("DescribeInstances", RegionId="cn-hangzhou", InstanceIds=ids)
