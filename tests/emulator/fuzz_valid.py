"""A valid call of every emulated ECS action, in a world that has what the call names."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

from tests.emulator.fuzz_line import ECS, Wire
from tests.emulator.world import PUBLIC_KEY, World

NUMBERS = count(1)  # for names and tokens that must not come twice
REGION = {"RegionId": "cn-hangzhou"}
TAG = {"Tag.1.Key": "run", "Tag.1.Value": "r-1"}
NUMBERED = {"PageNumber": "1", "PageSize": "10"}


@dataclass(frozen=True)
class Valid:
    """What a call must have, and what it may have besides."""

    wire: Wire
    query: dict[str, str]
    body: dict[str, Any] | None
    extras: dict[str, Any]  # by name; of the body where there is one


Maker = Callable[[World], Coroutine[Any, Any, Valid]]
MAKERS: dict[str, Maker] = {}


def valid(action: str) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        MAKERS[action] = maker
        return maker

    return register


def ecs(action: str, query: dict[str, str], **extras: str) -> Valid:
    dotted = {name.replace("__", "."): value for name, value in extras.items()}
    return Valid(Wire(action, ECS), query, None, dotted)


# -- ECS: what only reads

READS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "DescribeRegions": ({}, {}),
    "DescribeInstances": (
        REGION,
        {**TAG, **NUMBERED, "Status": "Running", "InstanceName": "a*", "InstanceIds": '["i-1"]'},
    ),
    "DescribeDisks": (
        REGION,
        {**TAG, "DiskType": "data", "Status": "Available", "MaxResults": "20", "DiskIds": '["d"]'},
    ),
    "DescribeSnapshots": (
        REGION,
        {**TAG, **NUMBERED, "Status": "all", "Usage": "none", "SnapshotIds": '["s-1"]'},
    ),
    "DescribeKeyPairs": (REGION, {**TAG, **NUMBERED, "IncludePublicKey": "true"}),
    "DescribeInvocationResults": (
        REGION,
        {**TAG, **NUMBERED, "InvokeId": "t-1", "InvokeRecordStatus": "Finished"},
    ),
    "DescribeInvocations": (
        REGION,
        {**TAG, "MaxResults": "50", "InvokeStatus": "Success", "CommandName": "a"},
    ),
    "DescribeImages": (REGION, {**NUMBERED, "Architecture": "x86_64", "Status": "Available"}),
    "DescribeImageFromFamily": (
        {**REGION, "ImageFamily": "acs:alibaba_cloud_linux_3_2104_lts_x64"},
        {},
    ),
}


def reading(action: str) -> Maker:
    async def make(_world: World) -> Valid:
        query, extras = READS[action]
        return Valid(Wire(action, ECS), dict(query), None, dict(extras))

    return make


MAKERS.update({action: reading(action) for action in READS})

# -- ECS: what changes something


@valid("RunInstances")
async def run_instances(world: World) -> Valid:
    query = {name.replace("__", "."): str(value) for name, value in world.order().items()}
    release = world.cloud.now() + timedelta(hours=2)
    return ecs(
        "RunInstances",
        query,
        ClientToken=f"token-{next(NUMBERS)}",
        InstanceName="build-1",
        HostName="build-1",
        Description="a build",
        Amount="1",
        SpotStrategy="SpotAsPriceGo",
        HttpTokens="required",
        AutoReleaseTime=f"{release:%Y-%m-%dT%H:%M:%SZ}",
        UserData="IyEvYmluL3NoCg==",
        InternetMaxBandwidthOut="0",
        Tag__1__Key="run",
        Tag__1__Value="a/b:c",
        SystemDisk__Category="cloud_essd",
        SystemDisk__Size="40",
        DataDisk__1__DiskName="preload",
        DataDisk__1__DeleteWithInstance="True",
        DataDisk__1__PerformanceLevel="PL1",
        DataDisk__1__Encrypted="false",
    )


@valid("DescribeInstanceStatus")
async def describe_status(world: World) -> Valid:
    query = {**REGION, "InstanceId.1": await world.running()}
    return ecs("DescribeInstanceStatus", query, **NUMBERED)


@valid("StartInstance")
async def start_instance(world: World) -> Valid:
    return ecs("StartInstance", {"InstanceId": await world.stopped()}, DryRun="false")


@valid("StopInstance")
async def stop_instance(world: World) -> Valid:
    query = {"InstanceId": await world.running()}
    return ecs("StopInstance", query, ForceStop="false", StoppedMode="KeepCharging")


@valid("DeleteInstance")
async def delete_instance(world: World) -> Valid:
    query = {"InstanceId": await world.stopped()}
    return ecs("DeleteInstance", query, Force="true", ForceStop="true", DryRun="false")


@valid("DeleteDisk")
async def delete_disk(world: World) -> Valid:
    instance_id = await world.stopped(DataDisk__1__DeleteWithInstance="false")
    disk_id = world.data_disk(instance_id)["DiskId"]
    world.ecs("DeleteInstance", InstanceId=instance_id)
    await world.settle()
    return ecs("DeleteDisk", {"DiskId": disk_id})


@valid("CreateSnapshot")
async def create_snapshot(world: World) -> Valid:
    disk = world.data_disk(await world.stopped())
    return ecs(
        "CreateSnapshot",
        {"DiskId": disk["DiskId"]},
        SnapshotName="preload-1",
        Description="a preload",
        RetentionDays="30",
        Category="Standard",
        ClientToken=f"token-{next(NUMBERS)}",
        Tag__1__Key="run",
        Tag__1__Value="r",
    )


@valid("DeleteSnapshot")
async def delete_snapshot(world: World) -> Valid:
    return ecs("DeleteSnapshot", {"SnapshotId": await world.accomplished()}, Force="true")


@valid("TagResources")
async def tag_resources(world: World) -> Valid:
    query = {**REGION, **TAG, "ResourceType": "instance", "ResourceId.1": await world.running()}
    return ecs("TagResources", query, Tag__2__Key="b", Tag__2__Value="c")


@valid("ImportKeyPair")
async def import_key_pair(_world: World) -> Valid:
    name = f"pair-{next(NUMBERS)}"
    query = {**REGION, "KeyPairName": name, "PublicKeyBody": PUBLIC_KEY}
    return ecs("ImportKeyPair", query, Tag__1__Key="run", Tag__1__Value="r")


@valid("DeleteKeyPairs")
async def delete_key_pairs(world: World) -> Valid:
    name = f"pair-{next(NUMBERS)}"
    world.ecs("ImportKeyPair", **REGION, KeyPairName=name, PublicKeyBody=PUBLIC_KEY)
    return ecs("DeleteKeyPairs", {**REGION, "KeyPairNames": json.dumps([name])})


# -- Cloud Assistant


@valid("RunCommand")
async def run_command(world: World) -> Valid:
    query = {
        **REGION,
        "Type": "RunShellScript",
        "CommandContent": "echo hello",
        "InstanceId.1": await world.running(),
    }
    return ecs(
        "RunCommand",
        query,
        ClientToken=f"token-{next(NUMBERS)}",
        ContentEncoding="plaintext",
        Timeout="600",
        WorkingDir="/opt",
        Username="root",
        Name="a command",
        Description="a command",
        KeepCommand="False",
        EnableParameter="false",
        RepeatMode="Once",
        TerminationMode="ProcessTree",
        Tag__1__Key="run",
        Tag__1__Value="r",
    )


@valid("StopInvocation")
async def stop_invocation(world: World) -> Valid:
    instance_id = await world.running()
    invoke_id = world.command(instance_id)
    return ecs("StopInvocation", {**REGION, "InvokeId": invoke_id}, InstanceId__1=instance_id)


@valid("DescribeCloudAssistantStatus")
async def assistant_status(world: World) -> Valid:
    query = {**REGION, "InstanceId.1": await world.running()}
    return ecs("DescribeCloudAssistantStatus", query, OSType="Linux")
