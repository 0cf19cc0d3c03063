"""What a node pool that is there has otherwise than its target wants it.

Compared is what the target asks for, where ACK describes it: a cloud that adds labels of its own,
or names a default, does not differ.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from ack_preload.domain.node_pools import NodePoolView, PoolSpec

SETS = ("instance_types", "vswitch_ids", "security_group_ids")
WORDS = ("image_type", "key_pair", "system_disk_category", "system_disk_size")
SCRIPTS = ("pre_user_data", "user_data")


def differences(
    spec: PoolSpec, found: NodePoolView, *, snapshot_id: str | None = None
) -> list[str]:
    """Return a sentence for each field of ``pool`` in which the node pool is not as asked for.

    The last data disk counts only when it is from ``snapshot_id``: else it is to be changed.
    """
    wanted = spec.body(
        name=found.name,
        snapshot_id=snapshot_id,
        desired_size=0,
        runtime_version=found.runtime_version,
        tags={},
    )
    group, config = wanted["scaling_group"], wanted["kubernetes_config"]
    return [
        *_of_group(group, found.scaling_group),
        *_marks("labels", config["labels"], found.kubernetes_config),
        *_marks("taints", config["taints"], found.kubernetes_config),
        *_scripts(config, found.kubernetes_config),
        *(_of_disk(group["data_disks"][-1], found) if found.snapshot_id == snapshot_id else ()),
    ]


def _of_group(wanted: Mapping[str, Any], have: Mapping[str, Any]) -> Iterator[str]:
    for name in SETS:
        if have.get(name) and name in wanted and set(have[name]) != set(wanted[name]):
            yield _told(name, sorted(wanted[name]), sorted(have[name]))
    for name in WORDS:
        if have.get(name) and name in wanted and have[name] != wanted[name]:
            yield _told(name, wanted[name], have[name])


def _marks(name: str, wanted: list[dict[str, Any]], have: Mapping[str, Any]) -> Iterator[str]:
    there = [_mark(each) for each in have.get(name) or ()]
    missing = [each for each in wanted if _mark(each) not in there]
    if missing:
        yield f"pool.{name}: the node pool lacks {missing}"


def _mark(each: Mapping[str, Any]) -> tuple[Any, ...]:
    return each["key"], each.get("value") or "", each.get("effect")


def _scripts(wanted: Mapping[str, Any], have: Mapping[str, Any]) -> Iterator[str]:
    for name in SCRIPTS:
        if _text(wanted.get(name)) != _text(have.get(name)):
            yield f"pool.{name}: the node pool has another script"


def _text(encoded: str | None) -> bytes:
    try:
        return base64.b64decode(encoded or "", validate=True).strip()
    except binascii.Error:
        return (encoded or "").encode()


def _of_disk(wanted: Mapping[str, Any], found: NodePoolView) -> Iterator[str]:
    have = found.data_disks[-1] if found.data_disks else {}
    names = ["category", "performance_level"]
    if not wanted.get("snapshot_id"):  # a disk from a snapshot is as large as that
        names.append("size")
    for name in names:
        if have.get(name) and name in wanted and have[name] != wanted[name]:
            yield _told(f"data disk {name}", wanted[name], have[name])


def _told(name: str, wanted: object, have: object) -> str:
    return f"pool.{name}: the target has {wanted!r}, the node pool {have!r}"
