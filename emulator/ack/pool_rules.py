"""What a node pool's description may hold, and the checks across its parts.

Refused as not emulated, among others: autoscaling, managed pools with repairs and upgrades,
passwords, subscription, spot prices, public addresses, ``disk_init``, kubelet and OS settings.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from emulator.account import INSTANCE_TYPES, NODE_IMAGES
from emulator.ecs.disk_orders import CATEGORIES, LEVELS, check_kind, encryption
from emulator.ecs.ordering import MAX_USER_DATA, base64_text
from emulator.ecs.resources import SnapshotStatus
from emulator.errors import NOT_FOUND, ApiError, invalid, unsupported
from emulator.params import ANY, REQUIRED, Rule, Rules

if TYPE_CHECKING:
    from emulator.ack.resources import NodePool
    from emulator.cloud import Cloud

NAME = Rule(pattern=r"[A-Za-z0-9\u4e00-\u9fff][A-Za-z0-9_\-.\u4e00-\u9fff]{0,62}")
DISK = Rule(low=40, high=32768)
DEFAULT_DISK_GIB = 120
# The category is the SDK's own default; the size has none on the page of Create: no source.
SYSTEM_DISK = {"system_disk_category": "cloud_efficiency", "system_disk_size": DEFAULT_DISK_GIB}
NEVER_EMPTY = ("instance_types", "vswitch_ids", "security_group_ids")
SENT_UNSET = ("data_disks", "tags", "labels", "taints")  # as [] by the SDK's models of Modify
DISK_NAME = r"(?!https?://)[A-Za-z][A-Za-z0-9_:\-]{1,127}"
TAG = r"(?!aliyun|acs:)((?!https?://).)*"
LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LABEL_KEY = rf"([A-Za-z0-9]([A-Za-z0-9.-]{{0,251}}[A-Za-z0-9])?/)?{LABEL_NAME}"
LABEL_VALUE = rf"({LABEL_NAME})?"

OFF = Rule(one_of=(False,), not_here=(True,))
CHARGE_TYPE = Rule(one_of=("PostPaid",), not_here=("PrePaid",))
OTHER_IMAGE_TYPES = (
    "AliyunLinux",
    "AliyunLinux3Arm64",
    "AliyunLinux3Security",
    "AliyunLinuxUEFI",
    "AliyunLinuxSecurity",
    "CentOS",
    "Custom",
    "Ubuntu",
    "Windows",
    "WindowsCore",
)

GROUP_RULES: Rules = {
    "scaling_group.vswitch_ids": Rule(high=8),
    "scaling_group.instance_types": Rule(high=10),
    "scaling_group.instance_charge_type": CHARGE_TYPE,
    "scaling_group.image_type": Rule(one_of=tuple(NODE_IMAGES), not_here=OTHER_IMAGE_TYPES),
    "scaling_group.key_pair": ANY,
    "scaling_group.desired_size": Rule(low=0),
    "scaling_group.security_group_ids": Rule(high=5),
    "scaling_group.system_disk_category": Rule(one_of=CATEGORIES),
    "scaling_group.system_disk_size": Rule(low=20, high=2048),
    "scaling_group.system_disk_performance_level": Rule(one_of=LEVELS),
    "scaling_group.data_disks": Rule(high=10),
    "scaling_group.data_disks.category": Rule(required=True, one_of=CATEGORIES),
    "scaling_group.data_disks.size": DISK,
    "scaling_group.data_disks.performance_level": Rule(one_of=LEVELS),
    "scaling_group.data_disks.snapshot_id": ANY,
    "scaling_group.data_disks.encrypted": Rule(check=encryption),
    "scaling_group.data_disks.disk_name": Rule(pattern=DISK_NAME),
    "scaling_group.tags": Rule(high=20),
    "scaling_group.tags.key": Rule(required=True, high=128, pattern=TAG),
    "scaling_group.tags.value": Rule(high=128, pattern=TAG),
    "scaling_group.multi_az_policy": Rule(one_of=("PRIORITY", "COST_OPTIMIZED", "BALANCE")),
    "scaling_group.scaling_policy": Rule(one_of=("release",), not_here=("recycle",)),
    "scaling_group.spot_strategy": Rule(
        one_of=("NoSpot",), not_here=("SpotAsPriceGo", "SpotWithPriceLimit")
    ),
}
CONFIG_RULES: Rules = {
    "kubernetes_config.runtime": Rule(one_of=("containerd",), not_here=("docker",)),
    "kubernetes_config.runtime_version": ANY,
    "kubernetes_config.pre_user_data": Rule(check=base64_text),
    "kubernetes_config.user_data": Rule(check=base64_text),
    "kubernetes_config.unschedulable": ANY,
    "kubernetes_config.cms_enabled": OFF,
    "kubernetes_config.cpu_policy": Rule(one_of=("none",), not_here=("static",)),
    "kubernetes_config.labels": ANY,
    "kubernetes_config.labels.key": Rule(required=True, pattern=LABEL_KEY),
    "kubernetes_config.labels.value": Rule(pattern=LABEL_VALUE),
    "kubernetes_config.taints": ANY,
    "kubernetes_config.taints.key": Rule(required=True, pattern=LABEL_KEY),
    "kubernetes_config.taints.value": Rule(pattern=LABEL_VALUE),
    "kubernetes_config.taints.effect": Rule(
        required=True, one_of=("NoSchedule", "PreferNoSchedule", "NoExecute")
    ),
}
SWITCHES: Rules = {
    "auto_scaling.enable": OFF,
    "management.enable": OFF,
    "nodepool_info.name": NAME,
}
MODIFY_RULES: Rules = {
    **GROUP_RULES,
    **CONFIG_RULES,
    **SWITCHES,
    "update_nodes": OFF,
}
CREATE_RULES: Rules = {
    **GROUP_RULES,
    **CONFIG_RULES,
    **SWITCHES,
    "nodepool_info": REQUIRED,
    "scaling_group": REQUIRED,
    "nodepool_info.name": Rule(required=True, pattern=NAME.pattern),
    "nodepool_info.type": Rule(one_of=("ess",), not_here=("edge", "hybrid", "lingjun")),
    "scaling_group.vswitch_ids": Rule(required=True, high=8),
    "scaling_group.instance_types": Rule(required=True, high=10),
    "scaling_group.instance_charge_type": replace(CHARGE_TYPE, required=True),
    "count": Rule(low=0),
    "interconnect_mode": Rule(one_of=("basic",), not_here=("improved", "private")),
}


def check_pool(cloud: Cloud, description: dict[str, Any], pool: NodePool | None = None) -> None:
    """Check what a description names against what there is.

    :param pool: what is to be changed by the description; None for a new one.
    :raises ApiError: as ACK, or ECS behind it, would refuse it.
    """
    group = description.get("scaling_group", {})
    config = description.get("kubernetes_config", {})
    for field in NEVER_EMPTY:
        if group.get(field) == []:
            raise invalid(f"scaling_group.{field}", "it is empty: name at least one, or leave it")
    check_network(cloud, group)
    check_types_and_names(cloud, group)
    for number, disk in enumerate(group.get("data_disks", []), start=1):
        check_data_disk(cloud, disk, f"scaling_group.data_disks.{number}")
    check_system_disk({**(pool.scaling_group if pool else SYSTEM_DISK), **group})
    check_runtime(cloud, config)
    check_labels_and_taints(config)
    check_user_data({**(pool.kubernetes_config if pool else {}), **config})


def check_types_and_names(cloud: Cloud, group: dict[str, Any]) -> None:
    for instance_type in group.get("instance_types", []):
        if instance_type not in INSTANCE_TYPES:
            known = ", ".join(INSTANCE_TYPES)
            raise invalid(
                "scaling_group.instance_types",
                f"{instance_type} is not sold here; known: {known}",
                code="InvalidParameter.InstanceType",
            )
    key_pair = group.get("key_pair")
    if key_pair and cloud.key_pairs.find(key_pair) is None:
        raise invalid("scaling_group.key_pair", f"there is no key pair {key_pair}")
    keys = [tag["key"] for tag in group.get("tags", [])]
    if len(set(keys)) < len(keys):
        raise invalid("scaling_group.tags", "it has a key twice")


def refuse_emptied(pool: NodePool, description: dict[str, Any]) -> None:
    """Refuse lists whose ``[]`` would take something away.

    The SDK's model sends ``[]`` for a list that was never set, and what ACK then does is not
    documented: a client must send the keys that it means to change, and no other.

    :raises ApiError: naming the list.
    """
    kept = {"scaling_group": pool.scaling_group, "kubernetes_config": pool.kubernetes_config}
    for part, fields in kept.items():
        given = description.get(part, {})
        for name in SENT_UNSET:
            if given.get(name) == [] and fields.get(name):
                raise unsupported(f"an empty {part}.{name} in ModifyClusterNodePool")


def check_network(cloud: Cloud, group: dict[str, Any]) -> None:
    known = {
        "vswitch_ids": cloud.account.vswitch_id,
        "security_group_ids": cloud.account.security_group_id,
    }
    for field, the_one in known.items():
        for given in group.get(field, []):
            if given != the_one:
                raise invalid(f"scaling_group.{field}", f"{given} does not exist")


def check_system_disk(group: dict[str, Any]) -> None:
    category, size = group["system_disk_category"], group["system_disk_size"]
    level = group.get("system_disk_performance_level", "")
    check_kind("scaling_group.system_disk", category, level, size, "InvalidParameter")


def check_data_disk(cloud: Cloud, disk: dict[str, Any], where: str) -> None:
    snapshot_id = disk.get("snapshot_id")
    level = disk.get("performance_level", "")
    if not snapshot_id:
        size = disk.get("size", DEFAULT_DISK_GIB)
        check_kind(where, disk["category"], level, size, "InvalidParameter")
        return
    snapshot = cloud.snapshots.find(snapshot_id)
    if snapshot is None:
        raise ApiError(
            NOT_FOUND, "InvalidSnapshotId.NotFound", f"{where}: no snapshot {snapshot_id}"
        )
    if snapshot.status is not SnapshotStatus.ACCOMPLISHED:
        raise invalid(where, f"the snapshot {snapshot_id} is {snapshot.status}")
    size = disk.get("size", snapshot.disk_size_gib)
    if size < snapshot.disk_size_gib:
        raise invalid(
            where, f"{size} GiB is less than the {snapshot.disk_size_gib} GiB of {snapshot_id}"
        )
    check_kind(where, disk["category"], level, size, "InvalidParameter")


def check_runtime(cloud: Cloud, config: dict[str, Any]) -> None:
    version = config.get("runtime_version")
    offered = cloud.machines.runtime_version()
    if version is not None and version != offered:
        raise invalid(
            "kubernetes_config.runtime_version", f"containerd {version!r} is not offered: {offered}"
        )


def check_labels_and_taints(config: dict[str, Any]) -> None:
    """Refuse what a Node could not have: a label or a taint of one effect twice."""
    keys = [label["key"] for label in config.get("labels", [])]
    marks = [(taint["key"], taint["effect"]) for taint in config.get("taints", [])]
    if len(set(keys)) < len(keys):
        raise invalid("kubernetes_config.labels", "it has a key twice")
    if len(set(marks)) < len(marks):
        raise invalid("kubernetes_config.taints", "it has a key twice with the same effect")


def check_user_data(config: dict[str, Any]) -> None:
    """Refuse what ECS would: ACK makes one User-Data of both and of its own script."""
    size = sum(len(decoded(config, field)) for field in ("pre_user_data", "user_data"))
    if size > MAX_USER_DATA:
        raise invalid(
            "kubernetes_config.user_data",
            f"with pre_user_data it has {size} bytes before base64, more than {MAX_USER_DATA}",
        )


def decoded(config: dict[str, Any], field: str) -> bytes:
    return base64.b64decode(config.get(field, ""))
