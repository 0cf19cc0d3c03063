"""The limits of parameters, on both sides of each: what is just allowed, and what just not."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.emulator.world import World, refused

AMOUNT = ("InvalidParameter", 400)
SIZE = ("InvalidDataDiskSize.ValueNotSupported", 400)
SYSTEM = "InvalidSystemDiskSize"
NAME = ("InvalidInstanceName.Malformed", 400)
HOST = ("InvalidHostName.Malformed", 400)


def user_data(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()


def disks(number: int) -> dict[str, Any]:
    return {f"DataDisk__{each}__Size": 40 for each in range(1, number + 1)}


def disk(size: int, category: str = "cloud_essd", level: str | None = None) -> dict[str, Any]:
    return {
        "DataDisk__1__Size": size,
        "DataDisk__1__Category": category,
        "DataDisk__1__PerformanceLevel": level,
    }


def shown(value: Any) -> str:
    return json.dumps(value)[:60] if isinstance(value, dict) else str(value)


@pytest.mark.parametrize(
    "params",
    [
        {"Amount": 100},
        {"UserData": user_data(32 * 1024)},
        disks(16),
        disk(20),
        disk(65536),
        disk(1, level="PL0"),
        disk(461, level="PL2"),
        disk(1261, level="PL3"),
        disk(1, "cloud_auto"),
        disk(20, "cloud_efficiency"),
        disk(32768, "cloud_efficiency"),
        {"SystemDisk__Size": 2048},
        {"SystemDisk__Size": 20},
        {"SystemDisk__Size": 461, "SystemDisk__PerformanceLevel": "PL2"},
        {"InstanceName": "ab"},
        {"InstanceName": "a" * 128},
        {"HostName": "a" * 64},
        {"HostName": "a-b.c"},
        {"Description": "ab"},
        {"Description": "x" * 256},
    ],
    ids=shown,
)
async def test_run_instances_takes(world: World, params: Any) -> None:
    assert world.run(**params)


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ({"Amount": 0}, AMOUNT),
        ({"Amount": 101}, AMOUNT),
        ({"MinAmount": 0}, AMOUNT),
        ({"MinAmount": 101}, AMOUNT),
        ({"UserData": user_data(32 * 1024 + 1)}, ("InvalidUserData.SizeExceeded", 400)),
        ({"UserData": "%%%"}, ("InvalidUserData.Base64FormatInvalid", 400)),
        (disks(17), AMOUNT),
        (disk(19), SIZE),
        (disk(65537), SIZE),
        (disk(460, level="PL2"), SIZE),
        (disk(1260, level="PL3"), SIZE),
        (disk(65537, "cloud_auto"), SIZE),
        (disk(19, "cloud_efficiency"), SIZE),
        (disk(32769, "cloud_efficiency"), SIZE),
        (disk(40, "cloud_essd_entry"), ("InvalidDiskCategory.ValueNotSupported", 400)),
        (disk(40, "cloud_auto", "PL1"), ("InvalidPerformanceLevel.Malformed", 400)),
        ({"InstanceName": "a"}, NAME),
        ({"InstanceName": "a" * 129}, NAME),
        ({"InstanceName": "no spaces"}, NAME),
        ({"InstanceName": "http://x"}, NAME),
        ({"InstanceName": "node-[1,3]"}, ("EmulatorUnsupported", 400)),
        ({"HostName": "a"}, HOST),
        ({"HostName": "a" * 65}, HOST),
        ({"HostName": "a--b"}, HOST),
        ({"HostName": "a..b"}, HOST),
        ({"HostName": "-ab"}, HOST),
        ({"HostName": "ab."}, HOST),
        ({"Description": "a"}, ("InvalidDescription.Malformed", 400)),
        ({"Description": "https://x"}, ("InvalidDescription.Malformed", 400)),
    ],
    ids=shown,
)
async def test_run_instances_refuses_just_beyond(world: World, params: Any, refusal: Any) -> None:
    with refused(*refusal):
        world.run(**params)
    assert not world.cloud.instances


@pytest.mark.parametrize(
    "name",
    [
        "Description",
        "DataDisk__1__Category",
        "DataDisk__1__DeleteWithInstance",
        "DataDisk__1__Encrypted",
        "SystemDisk__Category",
        "SystemDisk__Size",
        "Tag__1__Value",
    ],
)
async def test_an_empty_parameter_is_as_if_not_given(world: World, name: str) -> None:
    instance_id = await world.running(**{"Tag__1__Key": "k", name: ""})
    disk = world.data_disk(instance_id)
    assert (disk["Category"], disk["Encrypted"]) == ("cloud_essd", False)
    assert disk["DeleteWithInstance"] is True
    assert world.cloud.instances[instance_id].tags == {"k": ""}


@pytest.mark.parametrize("name", ["DataDisk__1__Size", "Tag__1__Key"])
async def test_an_empty_parameter_that_is_required_is_missing(world: World, name: str) -> None:
    with refused("MissingParameter", 400):
        world.run(**{"Tag__1__Value": "x", name: ""})


@pytest.mark.parametrize("size", ["0", "2049", "19"])
async def test_a_system_disk_has_its_size(world: World, size: str) -> None:
    with refused(SYSTEM):
        world.run(SystemDisk__Size=size)


@pytest.mark.parametrize(
    ("seconds", "is_taken"),
    [(29 * 60, False), (31 * 60, True), (3 * 365 * 86400 - 60, True), (3 * 366 * 86400, False)],
    ids=str,
)
async def test_auto_release_is_half_an_hour_to_three_years_ahead(
    world: World, seconds: int, is_taken: bool
) -> None:
    moment = world.cloud.now() + timedelta(seconds=seconds)
    text = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    if is_taken:
        found = world.instance(world.run(AutoReleaseTime=text))
        assert found is not None
        assert found["AutoReleaseTime"] == f"{moment:%Y-%m-%dT%H:%MZ}", "rounded down"
    else:
        with refused("InvalidAutoReleaseTime.Malformed"):
            world.run(AutoReleaseTime=text)


async def test_auto_release_is_rounded_down_before_it_is_judged(world: World) -> None:
    await world.move(90 - world.cloud.now().second)  # to half past a minute
    moment = world.cloud.now() + timedelta(minutes=30)
    with refused("InvalidAutoReleaseTime.Malformed"):
        world.run(AutoReleaseTime=f"{moment:%Y-%m-%dT%H:%M:59Z}")
    moment += timedelta(minutes=1)
    assert world.run(AutoReleaseTime=f"{moment:%Y-%m-%dT%H:%M:00Z}")


@pytest.mark.parametrize(
    ("strategy", "limit", "is_taken"),
    [
        ("SpotWithPriceLimit", "0.001", True),
        ("SpotWithPriceLimit", "1.125", True),
        ("SpotWithPriceLimit", "2", True),
        ("SpotAsPriceGo", None, True),
        ("SpotWithPriceLimit", None, False),
        ("SpotWithPriceLimit", "", False),
        ("SpotWithPriceLimit", "0", False),
        ("SpotWithPriceLimit", "-1", False),
        ("SpotWithPriceLimit", "0.0001", False),
        ("SpotWithPriceLimit", "1.1255", False),
        ("SpotAsPriceGo", "1", False),
        ("NoSpot", "1", False),
        (None, "1", False),
    ],
)
async def test_a_price_limit_goes_with_its_strategy(
    world: World, strategy: str | None, limit: str | None, is_taken: bool
) -> None:
    params = {"SpotStrategy": strategy, "SpotPriceLimit": limit}
    if is_taken:
        assert world.run(**params)
    else:
        with refused("InvalidSpotPriceLimit", 400):
            world.run(**params)


@pytest.mark.parametrize(
    ("params", "is_taken"),
    [
        ({"SnapshotName": "ab"}, True),
        ({"SnapshotName": "a" * 128}, True),
        ({"SnapshotName": "a" * 129}, False),
        ({"SnapshotName": "1a"}, False),
        ({"SnapshotName": "a b"}, False),
        ({"SnapshotName": "http://x"}, False),
        ({"SnapshotName": "auto-x"}, False),
        ({"RetentionDays": 1}, True),
        ({"RetentionDays": 65536}, True),
        ({"RetentionDays": 0}, False),
        ({"RetentionDays": 65537}, False),
        ({"Description": "x" * 257}, False),
    ],
    ids=str,
)
async def test_a_snapshot_has_its_limits(world: World, params: Any, is_taken: bool) -> None:
    disk_id = world.data_disk(await world.stopped())["DiskId"]
    if is_taken:
        world.ecs("CreateSnapshot", DiskId=disk_id, **params)
    else:
        code = {
            "SnapshotName": "InvalidSnapshotName.Malformed",
            "RetentionDays": "InvalidRetentionDays.Malformed",
            "Description": "InvalidDescription.Malformed",
        }[next(iter(params))]
        with refused(code):
            world.ecs("CreateSnapshot", DiskId=disk_id, **params)


@pytest.mark.parametrize(
    ("action", "most"),
    [
        ("DescribeInstances", 100),
        ("DescribeInstanceStatus", 50),
        ("DescribeDisks", 100),
        ("DescribeSnapshots", 100),
        ("DescribeKeyPairs", 50),
        ("DescribeImages", 100),
    ],
)
async def test_a_page_has_so_many_at_most(world: World, action: str, most: int) -> None:
    body = world.ecs(action, RegionId="cn-hangzhou", PageSize=most)
    assert (body["PageSize"], body["PageNumber"]) == (most, 1)
    for params in ({"PageSize": most + 1}, {"PageSize": 0}, {"PageNumber": 0}):
        with refused("InvalidParameter", 400):
            world.ecs(action, RegionId="cn-hangzhou", **params)


@pytest.mark.parametrize(
    ("action", "most"),
    [("DescribeInstances", 100), ("DescribeDisks", 500), ("DescribeSnapshots", 100)],
)
async def test_a_page_by_token_has_so_many_at_most(world: World, action: str, most: int) -> None:
    world.ecs(action, RegionId="cn-hangzhou", MaxResults=most)
    with refused("InvalidParameter", 400):
        world.ecs(action, RegionId="cn-hangzhou", MaxResults=most + 1)


async def test_a_network_without_addresses_makes_no_instance(world: World) -> None:
    world.machines.fails.add("address")
    with refused("QuotaExceeded.PrivateIpAddress", 400):
        world.run(Amount=2)
    assert not world.cloud.instances


async def test_a_key_is_shown_only_when_asked_for(world: World) -> None:
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7UmP0lxPoq7TgQqYiJC/sqEcWqR2B1hkYQmpoaYS9n"
    world.ecs("ImportKeyPair", RegionId="cn-hangzhou", KeyPairName="k.p", PublicKeyBody=public)
    for params, is_shown in (({}, False), ({"IncludePublicKey": "True"}, True)):
        body = world.ecs("DescribeKeyPairs", RegionId="cn-hangzhou", **params)
        (pair,) = body["KeyPairs"]["KeyPair"]
        assert ("PublicKey" in pair) is is_shown
