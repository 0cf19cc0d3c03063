from __future__ import annotations

from typing import Any

import pytest

from ack_preload.domain.disks import BuildSpec, Disk, Instance, Snapshot, disk_size
from ack_preload.domain.errors import InvalidInputError


def target(**build: Any) -> dict[str, Any]:
    wanted = {
        "instance_type": "ecs.c7.large",
        "image_id": "aliyun_3",
        "vswitch_id": "vsw-1",
        "security_group_id": "sg-1",
        "disk_gib": 60,
    }
    return {"name": "qwen", "build": wanted | build}


def test_a_target_becomes_a_build_spec() -> None:
    spec = BuildSpec.from_mapping(target())
    assert (spec.instance_type, spec.disk_gib, spec.disk_category) == (
        "ecs.c7.large",
        60,
        "cloud_essd",
    )


def test_a_disk_size_of_the_task_wins() -> None:
    assert BuildSpec.from_mapping(target(), disk_gib="80").disk_gib == 80


def test_an_empty_disk_size_leaves_the_targets() -> None:
    assert BuildSpec.from_mapping(target(), disk_gib="").disk_gib == 60


@pytest.mark.parametrize(
    "field", ["instance_type", "image_id", "vswitch_id", "security_group_id", "disk_gib"]
)
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"build.{field} is missing; add it"):
        BuildSpec.from_mapping(target(**{field: None}))


def test_a_target_without_build_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"target\.build is missing"):
        BuildSpec.from_mapping({"name": "qwen"})


@pytest.mark.parametrize("value", [39, 32769, "many", None])
def test_a_size_that_ack_would_refuse_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="use 40 to 32768 GiB"):
        disk_size("disk_gib", value)


def test_only_essd_has_a_performance_level() -> None:
    spec = BuildSpec.from_mapping(target())
    assert spec.level("cloud_essd") == "PL1"
    assert spec.level("cloud_auto") is None


def test_an_instance_is_read_with_its_address_and_tags() -> None:
    body = {
        "InstanceId": "i-1",
        "Status": "Running",
        "VpcAttributes": {"PrivateIpAddress": {"IpAddress": ["10.0.0.7"]}},
        "Tags": {"Tag": [{"TagKey": "a", "TagValue": "b"}, {"TagKey": "bare"}]},
        "AutoReleaseTime": "2026-11-24T09:00Z",
    }
    instance = Instance.from_api(body)
    assert instance.as_dict() == {"instance_id": "i-1", "private_ip": "10.0.0.7"}
    assert instance.tags == {"a": "b", "bare": ""}


def test_an_instance_without_network_has_no_address() -> None:
    instance = Instance.from_api({"InstanceId": "i-1", "Status": "Pending", "VpcAttributes": {}})
    assert instance.private_ip is None
    assert instance.tags == {}


def test_a_disk_is_read_with_its_serial() -> None:
    body = {"DiskId": "d-1", "Status": "In_use", "SerialNumber": "bp1abc", "Size": 60}
    disk = Disk.from_api(body)
    assert (disk.serial, disk.size_gib, disk.instance_id) == ("bp1abc", 60, None)


@pytest.mark.parametrize(("progress", "percent"), [("37%", 37), ("100%", 100), (None, 0)])
def test_a_snapshot_tells_its_progress(progress: str | None, percent: int) -> None:
    body = {"SnapshotId": "s-1", "Status": "progressing", "Progress": progress}
    assert Snapshot.from_api(body).percent == percent


def test_the_size_of_a_snapshots_disk_comes_as_text() -> None:
    body = {"SnapshotId": "s-1", "Status": "accomplished", "SourceDiskSize": "60"}
    assert Snapshot.from_api(body).source_disk_gib == 60
