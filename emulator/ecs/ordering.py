"""Reading what RunInstances orders: the rules of its parameters and the checks among them.

Refused as not emulated, among others: Password, public bandwidth, launch templates, IPv6,
network interfaces, subscription (``PrePaid``), ``DataDisk.N.Device``.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from emulator.account import INSTANCE_TYPES, Image
from emulator.ecs.actions import CLIENT_TOKEN, DESCRIPTION, TAGS, tags_of
from emulator.ecs.disk_orders import DISK_RULES, data_disk, system_disk
from emulator.ecs.lifecycle import InstanceOrder
from emulator.errors import conflict, invalid, missing, not_found, unsupported
from emulator.params import ANY, REQUIRED, Params, Rule, Rules

if TYPE_CHECKING:
    from emulator.cloud import Cloud

MAX_USER_DATA = 32 * 1024
RELEASE_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
MIN_RELEASE, MAX_RELEASE = timedelta(minutes=30), timedelta(days=3 * 365)


def base64_text(text: str) -> str | None:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return "it is not base64"
    return None


def user_data(text: str) -> bytes:
    """Return what is meant, which counts before base64.

    :raises ApiError: when there is too much of it.
    """
    raw = base64.b64decode(text)
    if len(raw) > MAX_USER_DATA:
        raise invalid(
            "UserData",
            f"{len(raw)} bytes are more than {MAX_USER_DATA}",
            code="InvalidUserData.SizeExceeded",
        )
    return raw


def price(limit: float) -> str | None:
    if limit <= 0:
        return f"{limit:g} is not more than 0"
    return None if round(limit, 3) == limit else f"{limit!r} has more than three decimals"


ORDER_RULES: Rules = {
    **TAGS,
    **DISK_RULES,
    "RegionId": REQUIRED,
    "ZoneId": ANY,
    "ImageId": ANY,
    "ImageFamily": ANY,
    "InstanceType": REQUIRED,
    # May also have [ and ], for names that count up: refused below.
    "InstanceName": Rule(
        pattern=r"(?!https?://)[\w:.\-\[\],]{2,128}", code="InvalidInstanceName.Malformed"
    ),
    "HostName": Rule(
        pattern=r"(?=.{2,64}$)[A-Za-z0-9]+([.-][A-Za-z0-9]+)*", code="InvalidHostName.Malformed"
    ),
    "Description": DESCRIPTION,
    "VSwitchId": ANY,
    "SecurityGroupId": ANY,
    "SecurityGroupIds": Rule(high=16),
    "KeyPairName": ANY,
    "ClientToken": CLIENT_TOKEN,
    "DryRun": ANY,
    "Amount": Rule(low=1, high=100),
    "MinAmount": Rule(low=1, high=100),
    "AutoReleaseTime": ANY,
    "InstanceChargeType": Rule(
        one_of=("PostPaid",),
        not_here=("PrePaid",),
        code="InvalidInstanceChargeType.ValueNotSupported",
    ),
    "SpotStrategy": Rule(one_of=("NoSpot", "SpotAsPriceGo", "SpotWithPriceLimit")),
    "SpotPriceLimit": Rule(check=price, code="InvalidSpotPriceLimit"),
    "SpotDuration": Rule(one_of=(0, 1)),
    "InternetMaxBandwidthOut": Rule(low=0, high=100),
    "UserData": Rule(check=base64_text, code="InvalidUserData.Base64FormatInvalid"),
    "HttpEndpoint": Rule(
        one_of=("enabled",), not_here=("disabled",), code="InvalidHttpEndpoint.NotSupported"
    ),
    "HttpTokens": Rule(one_of=("optional", "required"), code="InvalidHttpTokens.NotSupported"),
    "UniqueSuffix": Rule(one_of=(False,), not_here=(True,)),
}


def orders(cloud: Cloud, params: Params) -> list[InstanceOrder]:
    """Return one order for each instance, after every check across parameters.

    :raises ApiError: as RunInstances would refuse it.
    """
    if params.get("InternetMaxBandwidthOut", 0) > 0:
        raise unsupported("a public address (InternetMaxBandwidthOut above 0)")
    if "[" in params.get("InstanceName", ""):
        raise unsupported(f"names that count up, such as {params['InstanceName']}")
    check_spot(params)
    groups = security_groups(cloud, params)
    image = ordered_image(cloud, params)
    amount = params.get("Amount", 1)
    if params.get("MinAmount", 1) > amount:
        raise invalid("MinAmount", f"{params['MinAmount']} is more than Amount {amount}")
    ordered = InstanceOrder(
        name=params.get("InstanceName", ""),
        hostname=params.get("HostName", ""),
        description=params.get("Description", ""),
        image=image,
        instance_type=ordered_type(params["InstanceType"]),
        security_group_ids=groups,
        key_pair_name=ordered_key_pair(cloud, params),
        system_disk=system_disk(image, params.get("SystemDisk", {})),
        data_disks=tuple(
            data_disk(cloud, disk, f"DataDisk.{number}")
            for number, disk in enumerate(params.get("DataDisk", []), start=1)
        ),
        tags=tags_of(params),
        spot_strategy=params.get("SpotStrategy", "NoSpot"),
        auto_release=release_time(cloud, params.get("AutoReleaseTime", "")),
        user_data=user_data(params.get("UserData", "")),
    )
    return [ordered] * amount


def check_spot(params: Params) -> None:
    """Refuse a limit without the strategy that has one, and this without a limit.

    The API's page says that the limit takes effect with it only.

    :raises ApiError: as RunInstances would refuse it.
    """
    strategy, limit = params.get("SpotStrategy", "NoSpot"), params.get("SpotPriceLimit")
    if (strategy == "SpotWithPriceLimit") == (limit is not None):
        return
    reason = f"it goes with SpotStrategy SpotWithPriceLimit only, not with {strategy}"
    if limit is None:
        reason = "SpotStrategy SpotWithPriceLimit needs it"
    raise invalid("SpotPriceLimit", reason, code="InvalidSpotPriceLimit")


def security_groups(cloud: Cloud, params: Params) -> list[str]:
    single, several = params.get("SecurityGroupId"), params.get("SecurityGroupIds")
    if single and several:
        raise invalid("SecurityGroupIds", "it cannot be given with SecurityGroupId")
    groups: list[str] = several or ([single] if single else [])
    if not groups:
        raise missing("SecurityGroupId")
    for group in groups:
        if group != cloud.account.security_group_id:
            raise not_found("InvalidSecurityGroupId.NotFound", "SecurityGroupId", group)
    vswitch = params.get("VSwitchId")
    if not vswitch:
        raise missing("VSwitchId")
    if vswitch != cloud.account.vswitch_id:
        raise conflict(
            "InvalidVSwitchId.NotFound",
            f"The VSwitchId {vswitch} provided does not exist in our records.",
        )
    zone = params.get("ZoneId", cloud.account.zone_id)
    if zone != cloud.account.zone_id:
        raise not_found("InvalidZoneId.NotFound", "ZoneId", zone)
    return groups


def ordered_image(cloud: Cloud, params: Params) -> Image:
    if params.get("ImageId") and params.get("ImageFamily"):
        raise invalid(
            "ImageFamily",
            "it must be empty when ImageId is set",
            code="UnexpectedImageFamily.ImageIdSupplied",
        )
    if image_id := params.get("ImageId"):
        image = cloud.account.image(image_id)
        if image is None:
            raise not_found("InvalidImageId.NotFound", "ImageId", image_id)
        return image
    if not (family := params.get("ImageFamily")):
        raise missing("ImageId")
    newest = cloud.account.newest_of(family)
    if newest is None:
        raise conflict(
            "InvalidImageFamily.MissingAvailableImage",
            f"There is no available image related to the specified image family {family}.",
        )
    return newest


def ordered_type(instance_type: str) -> str:
    if instance_type not in INSTANCE_TYPES:
        known = ", ".join(INSTANCE_TYPES)
        raise invalid(
            "InstanceType",
            f"{instance_type} is not sold here; known: {known}",
            code="InvalidInstanceType.ValueNotSupported",
        )
    return instance_type


def ordered_key_pair(cloud: Cloud, params: Params) -> str:
    name: str = params.get("KeyPairName", "")
    if name and cloud.key_pairs.find(name) is None:
        raise not_found("InvalidKeyPairName.NotFound", "KeyPairName", name)
    return name


def release_time(cloud: Cloud, text: str) -> datetime | None:
    """Return the moment, rounded down to the minute as ECS does."""
    if not text:
        return None
    code = "InvalidAutoReleaseTime.Malformed"
    try:
        if not RELEASE_FORM.fullmatch(text):  # strptime takes 2026-1-1T1:1:1Z too
            raise ValueError(text)
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise invalid(
            "AutoReleaseTime", f"{text!r} is no yyyy-MM-ddTHH:mm:ssZ", code=code
        ) from None
    moment = moment.replace(second=0)
    if moment < cloud.now() + MIN_RELEASE:
        raise invalid(
            "AutoReleaseTime",
            "it is not 30 minutes from now, rounded down to the minute",
            code=code,
        )
    if moment > cloud.now() + MAX_RELEASE:
        raise invalid("AutoReleaseTime", "it is more than three years from now", code=code)
    return moment
