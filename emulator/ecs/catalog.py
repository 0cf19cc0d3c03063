"""DescribeRegions, DescribeImages, DescribeImageFromFamily and TagResources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.account import IMAGES, Image
from emulator.ecs.actions import MAX_TAGS, NUMBERED_PAGES, TAGS, action, tags_of
from emulator.ecs.reading import page
from emulator.ecs.resources import Disk, Instance, KeyPair, Snapshot, Tags
from emulator.errors import NOT_FOUND, conflict, missing, not_found
from emulator.params import ANY, REQUIRED, Params, Rule

if TYPE_CHECKING:
    from emulator.cloud import Cloud


@action("DescribeRegions", {})
def describe_regions(cloud: Cloud, params: Params) -> dict[str, Any]:
    region = cloud.account.region_id
    endpoint = f"ecs.{region}.aliyuncs.com"
    return {"Regions": {"Region": [{"RegionId": region, "RegionEndpoint": endpoint}]}}


@action(
    "DescribeImages",
    {
        **NUMBERED_PAGES,
        "RegionId": REQUIRED,
        "ImageId": ANY,
        "ImageFamily": ANY,
        "ImageOwnerAlias": Rule(one_of=("system", "self", "others", "marketplace")),
        "Architecture": Rule(one_of=("i386", "x86_64", "arm64")),
        "Status": Rule(
            one_of=("Creating", "Waiting", "Available", "UnAvailable", "CreateFailed"),
            not_here=("Deprecated", "ALL"),
        ),
        "OSType": Rule(one_of=("linux", "windows")),
        "IsSupportCloudinit": ANY,
    },
)
def describe_images(cloud: Cloud, params: Params) -> dict[str, Any]:
    have = {
        "ImageOwnerAlias": "system",
        "Architecture": "x86_64",
        "Status": "Available",
        "OSType": "linux",
        "IsSupportCloudinit": True,
    }
    same = all(params[name] == value for name, value in have.items() if name in params)
    ids = params.get("ImageId", "").split(",")
    shown = [
        image
        for image in IMAGES
        if same
        and (image.image_id in ids or ids == [""])
        and params.get("ImageFamily", image.family) == image.family
    ]
    return page(
        params,
        shown,
        lambda image: image.image_id,
        by_token=False,
        body=lambda page: {"Images": {"Image": [image_body(each) for each in page]}},
    )


@action("DescribeImageFromFamily", {"RegionId": REQUIRED, "ImageFamily": REQUIRED})
def describe_image_from_family(cloud: Cloud, params: Params) -> dict[str, Any]:
    image = cloud.account.newest_of(params["ImageFamily"])
    if image is None:
        raise not_found("InvalidImageFamily.NotFound", "ImageFamily", params["ImageFamily"])
    return {"Image": image_body(image)}


def image_body(image: Image) -> dict[str, Any]:
    return {
        "ImageId": image.image_id,
        "ImageName": image.image_id,
        "ImageFamily": image.family,
        "OSName": image.name,
        "OSType": "linux",
        "Architecture": "x86_64",
        "ImageOwnerAlias": "system",
        "IsSupportCloudinit": True,
        "Size": image.size_gib,
        "CreationTime": image.created,
        "Status": "Available",
        "Progress": "100%",
    }


@action(
    "TagResources",
    {
        **TAGS,
        "Tag": Rule(required=True, high=MAX_TAGS, code="InvalidTagCount"),
        "RegionId": REQUIRED,
        "ResourceType": Rule(
            required=True,
            one_of=("instance", "disk", "snapshot", "keypair"),
            code="InvalidResourceType.NotFound",
            status=NOT_FOUND,
        ),
        "ResourceId": Rule(required=True, high=50, code="NumberExceed.ResourceIds"),
    },
)
def tag_resources(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Tag all of the resources or, when one is unknown or would have too many, none."""
    for number, tag in enumerate(params["Tag"], start=1):
        if "Value" not in tag:  # may be empty, but only here it must be given
            raise missing(f"Tag.{number}.Value")
    tags = tags_of(params)
    found = [tags_kept(cloud, params["ResourceType"], each) for each in params["ResourceId"]]
    for resource_id, kept in zip(params["ResourceId"], found, strict=True):
        if len(kept.keys() | tags.keys()) > MAX_TAGS:
            raise conflict(
                "QuotaExceed.Tags", f"{resource_id} would have more than {MAX_TAGS} tags."
            )
    for kept in found:
        kept.update(tags)
    return {}


def tags_kept(cloud: Cloud, kind: str, resource_id: str) -> Tags:
    """Return the tags of a resource, to be changed."""
    if kind == "keypair":
        by_id = {pair.key_pair_id: pair.name for pair in cloud.key_pairs.values()}
        found: KeyPair | Instance | Disk | Snapshot | None = cloud.key_pairs.find(
            by_id.get(resource_id, resource_id)
        )
    elif kind == "instance":
        found = cloud.instances.find(resource_id)
    elif kind == "disk":
        found = cloud.disks.find(resource_id)
    else:
        found = cloud.snapshots.find(resource_id)
    if found is None:
        raise not_found("InvalidResourceId.NotFound", "ResourceId", resource_id)
    return found.tags
