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
from emulator.ecs.ordering import base64_text
from emulator.ecs.resources import SnapshotStatus
from emulator.errors import NOT_FOUND, ApiError, invalid
from emulator.params import ANY, REQUIRED, Rule, Rules

if TYPE_CHECKING:
    from emulator.cloud import Cloud

NAME = Rule(pattern=r"[A-Za-z0-9\u4e00-\u9fff][\w\-.\u4e00-\u9fff]{0,62}")
DISK = Rule(low=40, high=32768)
DEFAULT_DISK_GIB = 120
DISK_NAME = r"(?!https?://)[A-Za-z][\w:\-]{1,127}"
TAG = r"(?!aliyun|acs:)((?!https?://).)*"
LABEL_KEY = (
    r"([a-z0-9A-Z]([a-z0-9A-Z.-]{0,251}[a-z0-9A-Z])?/)?[a-z0-9A-Z]([\w.-]{0,61}[a-z0-9A-Z])?"
)
LABEL_VALUE = r"([a-z0-9A-Z]([\w.-]{0,61}[a-z0-9A-Z])?)?"

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


def check_pool(cloud: Cloud, description: dict[str, Any]) -> None:
    """Check what a description names against what there is.

    :raises ApiError: as ACK, or ECS behind it, would refuse it.
    """
    group = description.get("scaling_group", {})
    check_network(cloud, group)
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
    for number, disk in enumerate(group.get("data_disks", []), start=1):
        check_data_disk(cloud, disk, f"scaling_group.data_disks.{number}")
    check_runtime(cloud, description.get("kubernetes_config", {}))


def check_network(cloud: Cloud, group: dict[str, Any]) -> None:
    known = {
        "vswitch_ids": cloud.account.vswitch_id,
        "security_group_ids": cloud.account.security_group_id,
    }
    for field, the_one in known.items():
        for given in group.get(field, []):
            if given != the_one:
                raise invalid(f"scaling_group.{field}", f"{given} does not exist")


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
    if version and version != offered:
        raise invalid(
            "kubernetes_config.runtime_version", f"containerd {version} is not offered: {offered}"
        )


def decoded(config: dict[str, Any], field: str) -> bytes:
    return base64.b64decode(config.get(field, ""))
