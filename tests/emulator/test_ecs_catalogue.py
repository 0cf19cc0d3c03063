"""Key pairs, images, regions and tags."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emulator.ecs import ACTIONS
from tests.emulator.world import PUBLIC_KEY, World, refused


def import_key(world: World, **changes: Any) -> dict[str, Any]:
    params = {"RegionId": "cn-hangzhou", "KeyPairName": "kp", "PublicKeyBody": PUBLIC_KEY}
    return world.ecs("ImportKeyPair", **(params | changes))


def key_pairs(world: World, **params: Any) -> list[str]:
    body = world.ecs("DescribeKeyPairs", RegionId="cn-hangzhou", **params)
    return [each["KeyPairName"] for each in body["KeyPairs"]["KeyPair"]]


async def test_a_key_pair_is_imported_once(world: World) -> None:
    imported = import_key(world, Tag__1__Key="run")
    assert imported["KeyPairName"] == "kp"
    assert len(imported["KeyPairFingerPrint"]) == 32
    with refused("KeyPair.AlreadyExist", 400):
        import_key(world)
    assert key_pairs(world, Tag__1__Key="run", KeyPairName="k*") == ["kp"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"KeyPairName": "1kp"}, "InvalidKeyPairName.Malformed"),
        ({"KeyPairName": "k p"}, "InvalidKeyPairName.Malformed"),
        ({"KeyPairName": ""}, "MissingParameter"),
        ({"PublicKeyBody": "ssh-rsa nonsense"}, "InvalidPublicKeyBody.Malformed"),
        ({"PublicKeyBody": f"{PUBLIC_KEY}\n{PUBLIC_KEY}"}, "InvalidPublicKeyBody.Malformed"),
        ({"PublicKeyBody": f"{PUBLIC_KEY}\nnote"}, "InvalidPublicKeyBody.Malformed"),
        ({"PublicKeyBody": "-----BEGIN KEY-----"}, "InvalidPublicKeyBody.Malformed"),
        ({"ResourceGroupId": "rg-1"}, "EmulatorUnsupported"),
    ],
    ids=str,
)
async def test_import_key_pair_refuses(world: World, changes: Any, code: str) -> None:
    with refused(code):
        import_key(world, **changes)


async def test_a_key_pair_in_use_is_not_deleted_and_an_unknown_one_is_no_error(
    world: World,
) -> None:
    import_key(world)
    world.run(KeyPairName="kp")
    names = json.dumps(["kp", "unknown"])
    with refused("InvalidParameter.KeypairAlreadyAttachedInstance", 400):
        world.ecs("DeleteKeyPairs", RegionId="cn-hangzhou", KeyPairNames=names)
    world.cloud.instances.clear()
    world.ecs("DeleteKeyPairs", RegionId="cn-hangzhou", KeyPairNames=names)
    assert key_pairs(world) == []


async def test_a_private_key_is_never_made_here(world: World) -> None:
    with refused("EmulatorUnsupported"):
        world.ecs("CreateKeyPair", RegionId="cn-hangzhou", KeyPairName="kp")


async def test_images_are_found_by_family(world: World) -> None:
    family = "acs:alibaba_cloud_linux_3_2104_lts_x64"
    params = {"RegionId": "cn-hangzhou", "ImageFamily": family}
    body = world.ecs("DescribeImages", **params, ImageOwnerAlias="system", Status="Available")
    (image,) = body["Images"]["Image"]
    assert world.ecs("DescribeImageFromFamily", **params)["Image"]["ImageId"] == image["ImageId"]
    assert world.ecs("DescribeImages", **params, Architecture="arm64")["TotalCount"] == 0
    instance_id = world.run(ImageId=None, ImageFamily=family)
    assert world.instance(instance_id)["ImageId"] == image["ImageId"]  # type: ignore[index]
    with refused("InvalidImageFamily.MissingAvailableImage", 403):
        world.run(ImageId=None, ImageFamily="acs:unknown")
    with refused("InvalidImageFamily.NotFound", 404):
        world.ecs("DescribeImageFromFamily", **params | {"ImageFamily": "acs:unknown"})


async def test_there_is_one_region(world: World) -> None:
    (region,) = world.ecs("DescribeRegions")["Regions"]["Region"]
    assert region["RegionId"] == "cn-hangzhou"


async def test_resources_are_tagged_all_or_none(world: World) -> None:
    instance_id = world.run(Tag__1__Key="a", Tag__1__Value="1")
    params = {
        "RegionId": "cn-hangzhou",
        "ResourceType": "instance",
        "ResourceId__1": instance_id,
        "Tag__1__Key": "b",
        "Tag__1__Value": "2",
    }
    with refused("InvalidResourceId.NotFound", 404):
        world.ecs("TagResources", **params, ResourceId__2="i-unknown")
    assert world.cloud.instances[instance_id].tags == {"a": "1"}
    world.ecs("TagResources", **params)
    assert world.cloud.instances[instance_id].tags == {"a": "1", "b": "2"}
    with refused("InvalidResourceType.NotFound"):
        world.ecs("TagResources", **params | {"ResourceType": "vpc"})
    with refused("MissingParameter"):
        world.ecs("TagResources", **{k: v for k, v in params.items() if "Tag__" not in k})
    many = {f"ResourceId__{number}": f"i-{number}" for number in range(1, 52)}
    with refused("NumberExceed.ResourceIds", 400):
        world.ecs("TagResources", **params | many)


async def test_twenty_tags_are_the_most(world: World) -> None:
    tags = {f"Tag__{number}__Key": f"k{number}" for number in range(1, 22)}
    with refused("InvalidTagCount", 400):
        world.run(**tags)
    tags.popitem()
    instance_id = world.run(**tags)
    with refused("QuotaExceed.Tags", 403):
        world.ecs(
            "TagResources",
            RegionId="cn-hangzhou",
            ResourceType="instance",
            ResourceId__1=instance_id,
            Tag__1__Key="one more",
            Tag__1__Value="",
        )


@pytest.mark.parametrize(
    ("action", "code"),
    [("RebootInstance", "EmulatorUnsupported"), ("MakeCoffee", "InvalidAction.NotFound")],
)
async def test_an_action_that_is_not_here_is_refused(world: World, action: str, code: str) -> None:
    assert action not in ACTIONS
    with refused(code):
        world.ecs(action)
