"""Node pools and their nodes: what a pool is asked to be, and what ACK says it is.

https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/developer-reference/api-cs-2015-12-15-createclusternodepool
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ack_preload.domain.disks import LEVELLED, disk_size, required
from ack_preload.domain.errors import InvalidInputError

ACCELERATOR_LABEL = "alibabacloud.com/image-accelerate-enabled"
"""Turns the image accelerator on, which works against a preloaded disk. ACK's API has no field
for it: this label, on the pool, is all there is to refuse."""

SKIP_YUM = "touch /var/.skip-yum\n"
"""Tells ACK's init script not to update packages while a node joins. It looks for the file after
kubelet has registered, before it runs the user data: so the file must be there earlier."""


class SkipYum(StrEnum):
    """Where ``SKIP_YUM`` goes.

    Only ``pre`` is early enough by the documented order; ``post`` is what older pages of the
    cloud say, and ``both`` is harmless.
    """

    PRE = "pre"
    POST = "post"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """The node pool of a target, preloaded or not.

    Both arms of a measurement use this one spec: :meth:`body` differs by the snapshot id (and
    by the size of a blank disk, when the target asks for another one) and nothing else.
    """

    cluster_id: str
    source_pool_id: str
    instance_types: tuple[str, ...]
    vswitch_ids: tuple[str, ...]
    disk_gib: int
    blank_disk_gib: int
    security_group_ids: tuple[str, ...] = ()
    image_type: str = "AliyunLinux3"
    key_pair: str | None = None
    system_disk_category: str = "cloud_essd"
    system_disk_gib: int = 120
    data_disk_category: str = "cloud_essd"
    performance_level: str = "PL1"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    script: str = ""
    skip_yum: SkipYum = SkipYum.PRE

    @classmethod
    def from_mapping(cls, target: Mapping[str, Any]) -> PoolSpec:
        """Read a target.

        :raises InvalidInputError: naming the field, the value and the mend.
        """
        pool, build = required("target", target, "pool"), required("target", target, "build")
        disk_gib = disk_size("build.disk_gib", required("build", build, "disk_gib"))
        blank = pool.get("data_disk_gib")
        return cls(
            cluster_id=required("target", target, "cluster_id"),
            source_pool_id=required("source", target.get("source") or {}, "node_pool_id"),
            instance_types=tuple(required("pool", pool, "instance_types")),
            vswitch_ids=tuple(required("pool", pool, "vswitch_ids")),
            disk_gib=disk_gib,
            blank_disk_gib=disk_size("pool.data_disk_gib", blank) if blank else disk_gib,
            security_group_ids=tuple(pool.get("security_group_ids") or ()),
            image_type=pool.get("image_type") or "AliyunLinux3",
            key_pair=pool.get("key_pair") or None,
            system_disk_category=pool.get("system_disk_category") or "cloud_essd",
            system_disk_gib=int(pool.get("system_disk_gib") or 120),
            data_disk_category=pool.get("data_disk_category") or "cloud_essd",
            performance_level=pool.get("performance_level") or "PL1",
            labels=_labels(pool.get("labels") or {}),
            taints=tuple(pool.get("taints") or ()),
            script=pool.get("pre_user_data") or "",
            skip_yum=_skip_yum(pool.get("skip_yum") or SkipYum.PRE),
        )

    def on(self, image_type: str | None) -> PoolSpec:
        """Return the same spec on another operating system, for a baseline that asks for one."""
        return replace(self, image_type=image_type) if image_type else self

    def data_disk(self, snapshot_id: str | None) -> dict[str, Any]:
        """Return the last data disk, from ``snapshot_id`` or blank.

        ``auto_format``, ``file_system`` and ``mount_target`` stay unset: only then does ACK take
        the disk as the runtime's own, and keeps the file system that the snapshot brings.
        """
        disk: dict[str, Any] = {"category": self.data_disk_category}
        disk["size"] = self.disk_gib if snapshot_id else self.blank_disk_gib
        if self.data_disk_category == LEVELLED:
            disk["performance_level"] = self.performance_level
        if snapshot_id:
            disk["snapshot_id"] = snapshot_id
        return disk

    def body(
        self,
        *,
        name: str,
        snapshot_id: str | None,
        desired_size: int,
        runtime_version: str,
        tags: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return the body of CreateClusterNodePool."""
        return {
            "nodepool_info": {"name": name, "type": "ess"},
            "scaling_group": self._scaling_group(snapshot_id, desired_size, tags),
            "kubernetes_config": {
                "runtime": "containerd",
                "runtime_version": runtime_version,
                "labels": [{"key": k, "value": v} for k, v in self.labels.items()],
                "taints": [dict(taint) for taint in self.taints],
                "cms_enabled": False,
                "unschedulable": False,
                **self._custom_data(),
            },
            "auto_scaling": {"enable": False},  # else ACK ignores desired_size
            "management": {"enable": False},  # no repair or upgrade in the middle of a proof
        }

    def _scaling_group(
        self, snapshot_id: str | None, desired_size: int, tags: Mapping[str, str]
    ) -> dict[str, Any]:
        group: dict[str, Any] = {
            "vswitch_ids": list(self.vswitch_ids),
            "instance_types": list(self.instance_types),
            "instance_charge_type": "PostPaid",
            "image_type": self.image_type,
            "desired_size": desired_size,
            "system_disk_category": self.system_disk_category,
            "system_disk_size": self.system_disk_gib,
            "data_disks": [self.data_disk(snapshot_id)],
            "tags": tags_for_api(tags),
        }
        if self.system_disk_category == LEVELLED:
            group["system_disk_performance_level"] = self.performance_level
        if self.security_group_ids:
            group["security_group_ids"] = list(self.security_group_ids)
        if self.key_pair:
            group["key_pair"] = self.key_pair
        return group

    def _custom_data(self) -> dict[str, str]:
        """Return ``pre_user_data`` and ``user_data``, which ACK takes as base64 only."""
        pre = SKIP_YUM if self.skip_yum is not SkipYum.POST else ""
        post = SKIP_YUM if self.skip_yum is not SkipYum.PRE else ""
        scripts = {"pre_user_data": pre + self.script, "user_data": post}
        return {
            name: base64.b64encode(f"#!/bin/bash\n{script}".encode()).decode()
            for name, script in scripts.items()
            if script
        }


def tags_for_api(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    if labels.get(ACCELERATOR_LABEL, "false") != "false":
        raise InvalidInputError(
            f"pool.labels has {ACCELERATOR_LABEL}={labels[ACCELERATOR_LABEL]}, which works "
            "against a preloaded disk; remove the label"
        )
    return dict(labels)


def _skip_yum(value: str) -> SkipYum:
    try:
        return SkipYum(value)
    except ValueError:
        known = ", ".join(SkipYum)
        raise InvalidInputError(f"pool.skip_yum is {value!r}; use one of {known}") from None


@dataclass(frozen=True, slots=True)
class NodePoolView:
    """A node pool as ACK describes it. ``state`` is ACK's own word, such as ``active``."""

    node_pool_id: str
    name: str
    state: str
    desired_size: int
    total_nodes: int
    tags: Mapping[str, str] = field(default_factory=dict)
    data_disks: tuple[Mapping[str, Any], ...] = ()
    runtime_version: str = ""
    created: datetime | None = None
    # As ACK describes them, for what has no field here.
    scaling_group: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kubernetes_config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> NodePoolView:
        info, group = body["nodepool_info"], body.get("scaling_group") or {}
        status, kubernetes = body.get("status") or {}, body.get("kubernetes_config") or {}
        return cls(
            node_pool_id=info["nodepool_id"],
            name=info["name"],
            state=status.get("state") or "unknown",
            desired_size=int(group.get("desired_size") or 0),
            total_nodes=int(status.get("total_nodes") or 0),
            tags={tag["key"]: tag.get("value") or "" for tag in group.get("tags") or []},
            data_disks=tuple(dict(disk) for disk in group.get("data_disks") or []),
            runtime_version=kubernetes.get("runtime_version") or "",
            created=_moment(info.get("created")),
            scaling_group=group,
            kubernetes_config=kubernetes,
        )

    @property
    def snapshot_id(self) -> str | None:
        """The snapshot of the last data disk: the one that becomes the runtime's."""
        return (self.data_disks[-1].get("snapshot_id") or None) if self.data_disks else None

    @property
    def is_for_runtime(self) -> bool:
        """Whether ACK takes the last data disk as the runtime's own, with what is on it."""
        last = self.data_disks[-1] if self.data_disks else {}
        return not any(last.get(name) for name in ("auto_format", "file_system", "mount_target"))

    def disks_with(self, last: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the full list of data disks with the last one replaced, for a change."""
        kept = [{k: v for k, v in disk.items() if v is not None} for disk in self.data_disks[:-1]]
        return [*kept, dict(last)]


@dataclass(frozen=True, slots=True)
class Node:
    """A node as ACK lists it, from the creation of its instance on."""

    instance_id: str
    name: str
    private_ip: str | None
    node_status: str  # Ready, NotReady, Unknown, Offline
    created: datetime | None
    error: str = ""

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> Node:
        addresses: Sequence[str] = body.get("ip_address") or []
        created = body.get("creation_time")
        return cls(
            instance_id=body.get("instance_id") or "",
            name=body.get("node_name") or body.get("instance_id") or "unnamed node",
            private_ip=addresses[0] if addresses else None,
            node_status=body.get("node_status") or "Unknown",
            created=_with_offset(created) if created else None,
            error=body.get("error_message") or "",
        )

    @property
    def is_ready(self) -> bool:
        return self.node_status == "Ready"

    def as_dict(self) -> dict[str, Any]:
        """Return what a task passes on; the creation time keeps its offset."""
        return {
            "instance_id": self.instance_id,
            "node_name": self.name,
            "private_ip": self.private_ip,
            "creation_time": self.created.isoformat() if self.created else None,
        }


def _moment(text: str | None) -> datetime | None:
    """Return when a pool was made; an unreadable time must not stop a rollout."""
    try:
        return _with_offset(text) if text else None
    except ValueError:
        return None


def _with_offset(text: str) -> datetime:
    """Parse ACK's ``2020-08-25T11:25:35+08:00``; a time without offset would be eight hours off."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"creation_time {text} has no offset from UTC")
    return moment
