"""RunInstances, DescribeInstances, DescribeInstanceStatus, Start-, Stop- and DeleteInstance.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-runinstances
Simulated: instance types have no speed, spot prices no market, security groups no rules.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from emulator.ecs import lifecycle, releasing, spot
from emulator.ecs.actions import PAGES, TAGS, action, tags_body
from emulator.ecs.lifecycle import InstanceOrder
from emulator.ecs.ordering import ORDER_RULES, orders
from emulator.ecs.reading import has_tags, id_list, page, to_minute, wanted_ids
from emulator.ecs.resources import Instance, InstanceStatus
from emulator.errors import BAD_REQUEST, ApiError, conflict, not_found
from emulator.faults import NoStock
from emulator.machines.base import MachineError
from emulator.params import ANY, REQUIRED, Params, Rule

if TYPE_CHECKING:
    from emulator.cloud import Cloud

STATUSES = tuple(InstanceStatus)
DRY_RUN = ApiError(
    BAD_REQUEST,
    "DryRunOperation",
    "Request validation has been passed with DryRun flag set.",
)


def instance_named(cloud: Cloud, instance_id: str) -> Instance:
    instance = cloud.instances.find(instance_id)
    if instance is None:
        raise not_found("InvalidInstanceId.NotFound", "InstanceId", instance_id)
    return instance


def must_be(instance: Instance, *allowed: InstanceStatus) -> None:
    """Refuse a call that the instance's status does not allow."""
    if instance.status is InstanceStatus.PENDING and instance.status not in allowed:
        raise conflict(
            "IncorrectInstanceStatus.Initializing",
            f"The specified instance {instance.instance_id} is being created.",
        )
    if instance.status not in allowed or instance.is_being_released:
        raise conflict(
            "IncorrectInstanceStatus",
            f"The current status of the resource does not support this operation: "
            f"{instance.instance_id} is {instance.status}.",
        )


@action("RunInstances", ORDER_RULES)
def run_instances(cloud: Cloud, params: Params) -> dict[str, Any]:
    ordered = orders(cloud, params)
    check_stock(cloud, params["InstanceType"])
    if params.get("DryRun"):
        raise DRY_RUN
    ids = [each.instance_id for each in launched(cloud, ordered, params)]
    return {"InstanceIdSets": {"InstanceIdSet": ids}, "TradePrice": 0.0}


def check_stock(cloud: Cloud, instance_type: str) -> None:
    if (fault := cloud.faults.strike(NoStock, instance_type)) is not None:
        raise conflict(
            fault.code,
            f"The requested resource is sold out in the specified zone; try other types of "
            f"resources or other regions and zones: {instance_type}.",
        )


def launched(cloud: Cloud, ordered: list[InstanceOrder], params: Params) -> list[Instance]:
    """Launch as many as there are addresses for, at least MinAmount: else none."""
    instances: list[Instance] = []
    try:
        for order in ordered:
            instances.append(lifecycle.launch(cloud, order))
    except MachineError as exc:
        if len(instances) < params.get("MinAmount", len(ordered)):
            for instance in instances:
                cloud.spawn(releasing.release(cloud, instance))
            raise ApiError(
                BAD_REQUEST,
                "QuotaExceeded.PrivateIpAddress",
                f"There is not enough private ip in the specified VSwitch: {exc}.",
            ) from exc
    for instance in instances:
        if instance.spot_strategy != "NoSpot":
            cloud.spawn(spot.watch(cloud, instance))
    return instances


@action(
    "DescribeInstances",
    {
        **TAGS,
        **PAGES,
        "RegionId": REQUIRED,
        "InstanceIds": Rule(check=id_list),
        "Status": Rule(one_of=STATUSES, code="InvalidStatus.ValueNotSupported"),
        "VpcId": ANY,
        "VSwitchId": ANY,
        "ZoneId": ANY,
        "InstanceName": ANY,  # may have * for any text
        "InstanceType": ANY,
        "KeyPairName": ANY,
        "ImageId": ANY,
    },
)
def describe_instances(cloud: Cloud, params: Params) -> dict[str, Any]:
    wanted = wanted_ids(params, "InstanceIds")
    known = cloud.instances.shown()
    shown = [
        known[instance_id]
        for instance_id in (known if wanted is None else wanted & known.keys())
        if matches(cloud, known[instance_id], params) and has_tags(known[instance_id].tags, params)
    ]
    return page(
        params,
        shown,
        lambda instance: instance.instance_id,
        least=10,
        body=lambda page: {"Instances": {"Instance": [body(cloud, each) for each in page]}},
    )


def matches(cloud: Cloud, instance: Instance, params: Params) -> bool:
    have = {
        "Status": instance.status,
        "VpcId": cloud.account.vpc_id,
        "VSwitchId": cloud.account.vswitch_id,
        "ZoneId": cloud.account.zone_id,
        "InstanceType": instance.instance_type,
        "KeyPairName": instance.key_pair_name,
        "ImageId": instance.image.image_id,
    }
    if any(params[name] != value for name, value in have.items() if name in params):
        return False
    # Of the pattern's signs only * is one here; fnmatch takes many of them without going astray.
    pattern = params.get("InstanceName", "*").translate({ord("["): "[[]", ord("?"): "[?]"})
    return fnmatchcase(instance.name, pattern)


def body(cloud: Cloud, instance: Instance) -> dict[str, Any]:
    """Return an instance as DescribeInstances shows it."""
    account = cloud.account
    return {
        "InstanceId": instance.instance_id,
        "InstanceName": instance.name,
        "HostName": instance.hostname,
        "Description": instance.description,
        "Status": instance.status,
        "CreationTime": to_minute(instance.created),
        "StartTime": to_minute(instance.started),
        "AutoReleaseTime": to_minute(instance.auto_release),
        "ExpiredTime": "2099-12-31T15:59Z",  # what the API says of pay-as-you-go
        "RegionId": account.region_id,
        "ZoneId": account.zone_id,
        "ImageId": instance.image.image_id,
        "InstanceType": instance.instance_type,
        "InstanceTypeFamily": instance.instance_type.rpartition(".")[0],
        "InstanceChargeType": "PostPaid",
        "SpotStrategy": instance.spot_strategy,
        "InstanceNetworkType": "vpc",
        "OSType": "linux",
        "OSName": instance.image.name,
        "KeyPairName": instance.key_pair_name,
        "StoppedMode": instance.stopped_mode,
        "OperationLocks": {
            "LockReason": [{"LockReason": "Recycling"}] if instance.is_recycling else []
        },
        **addresses(cloud, instance),
        "SecurityGroupIds": {"SecurityGroupId": instance.security_group_ids},
        "Tags": tags_body(instance.tags),
    }


def addresses(cloud: Cloud, instance: Instance) -> dict[str, Any]:
    """Return where an instance can be reached: only from its own network."""
    return {
        "PublicIpAddress": {"IpAddress": []},
        "InnerIpAddress": {"IpAddress": []},
        "EipAddress": {"IpAddress": "", "AllocationId": ""},
        "VpcAttributes": {
            "VpcId": cloud.account.vpc_id,
            "VSwitchId": cloud.account.vswitch_id,
            "PrivateIpAddress": {"IpAddress": [instance.private_ip]},
            "NatIpAddress": "",
        },
    }


@action(
    "DescribeInstanceStatus",
    {
        "PageNumber": Rule(low=1),
        "PageSize": Rule(low=1, high=50),
        "RegionId": REQUIRED,
        "InstanceId": Rule(high=100),
    },
)
def describe_instance_status(cloud: Cloud, params: Params) -> dict[str, Any]:
    known = cloud.instances.shown()
    wanted = set(params.get("InstanceId", [])) or known.keys()
    for instance_id in wanted:
        if instance_id not in known:
            raise not_found("InvalidInstanceId.NotFound", "InstanceId", instance_id)
    return page(
        params,
        [known[instance_id] for instance_id in wanted],
        lambda instance: instance.instance_id,
        by_token=False,
        body=lambda page: {
            "InstanceStatuses": {
                "InstanceStatus": [
                    {"InstanceId": each.instance_id, "Status": each.status} for each in page
                ]
            }
        },
    )


@action("StartInstance", {"InstanceId": REQUIRED, "DryRun": ANY})
def start_instance(cloud: Cloud, params: Params) -> dict[str, Any]:
    instance = instance_named(cloud, params["InstanceId"])
    must_be(instance, InstanceStatus.STOPPED)
    if params.get("DryRun"):
        raise DRY_RUN
    instance.status = InstanceStatus.STARTING
    cloud.spawn(lifecycle.restart(cloud, instance))
    return {}


@action(
    "StopInstance",
    {
        "InstanceId": REQUIRED,
        "ForceStop": ANY,
        "DryRun": ANY,
        "StoppedMode": Rule(one_of=("KeepCharging", "StopCharging")),
    },
)
def stop_instance(cloud: Cloud, params: Params) -> dict[str, Any]:
    instance = instance_named(cloud, params["InstanceId"])
    must_be(instance, InstanceStatus.RUNNING)
    if params.get("DryRun"):
        raise DRY_RUN
    instance.status = InstanceStatus.STOPPING
    mode = params.get("StoppedMode", "KeepCharging")
    cloud.spawn(lifecycle.stop(cloud, instance, force=params.get("ForceStop", False), mode=mode))
    return {}


@action(
    "DeleteInstance",
    {"InstanceId": REQUIRED, "Force": ANY, "ForceStop": ANY, "DryRun": ANY},
)
def delete_instance(cloud: Cloud, params: Params) -> dict[str, Any]:
    instance = instance_named(cloud, params["InstanceId"])
    if params.get("Force"):
        must_be(instance, InstanceStatus.STOPPED, InstanceStatus.RUNNING)
    else:
        must_be(instance, InstanceStatus.STOPPED)
    if params.get("DryRun"):
        raise DRY_RUN
    instance.is_being_released = True
    cloud.spawn(releasing.release(cloud, instance))
    return {}
