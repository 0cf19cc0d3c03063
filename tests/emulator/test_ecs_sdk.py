"""The whole life of a build instance and its snapshot, by the official ECS SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_tea_openapi.exceptions import ClientException
from Tea.exceptions import TeaException

from emulator.app import Handle
from tests.emulator.sdk import ecs_client
from tests.emulator.world import PUBLIC_KEY

REGION = "cn-hangzhou"


def order(facts: dict[str, Any], **changes: Any) -> models.RunInstancesRequest:
    params: dict[str, Any] = {
        "region_id": REGION,
        "image_id": facts["image_id"],
        "instance_type": facts["instance_type"],
        "v_switch_id": facts["vswitch_id"],
        "security_group_id": facts["security_group_id"],
        "key_pair_name": "build",
        "client_token": "token-1",
        "amount": 1,
        "user_data": "IyEvYmluL3NoCg==",
        "http_tokens": "required",
        "spot_strategy": "SpotAsPriceGo",
        "tag": [models.RunInstancesRequestTag(key="run id", value="a/b:c~*+%é")],
        "system_disk": models.RunInstancesRequestSystemDisk(category="cloud_essd", size="40"),
        "data_disk": [
            models.RunInstancesRequestDataDisk(
                category="cloud_essd",
                size=40,
                disk_name="ack-preload",
                encrypted="false",
                delete_with_instance=True,
            )
        ],
    }
    return models.RunInstancesRequest(**(params | changes))


def import_key() -> models.ImportKeyPairRequest:
    return models.ImportKeyPairRequest(
        region_id=REGION, key_pair_name="build", public_key_body=PUBLIC_KEY
    )


def by_ids(instance_id: str) -> models.DescribeInstancesRequest:
    return models.DescribeInstancesRequest(region_id=REGION, instance_ids=json.dumps([instance_id]))


def snapshot_of(disk_id: str) -> models.CreateSnapshotRequest:
    return models.CreateSnapshotRequest(
        disk_id=disk_id,
        snapshot_name="preload-demo",
        client_token="token-2",
        retention_days=30,
        tag=[models.CreateSnapshotRequestTag(key="k", value="v")],
    )


@pytest.mark.slow
def test_a_build_from_key_pair_to_snapshot(cloud_handle: Handle) -> None:
    ecs = ecs_client(cloud_handle.facts)
    ecs.import_key_pair(import_key())
    body = ecs.run_instances(order(cloud_handle.facts)).body
    (instance_id,) = body.instance_id_sets.instance_id_set
    again = ecs.run_instances(order(cloud_handle.facts)).body
    assert again.instance_id_sets.instance_id_set == [instance_id]
    assert again.request_id != body.request_id

    def found() -> list[Any]:
        return list(ecs.describe_instances(by_ids(instance_id)).body.instances.instance)

    cloud_handle.run_until(lambda: found()[0].status == "Running")
    (tag,) = found()[0].tags.tag
    assert (tag.tag_key, tag.tag_value) == ("run id", "a/b:c~*+%é")
    assert found()[0].vpc_attributes.private_ip_address.ip_address
    disks = models.DescribeDisksRequest(region_id=REGION, instance_id=instance_id, disk_type="data")
    (disk,) = ecs.describe_disks(disks).body.disks.disk
    assert len(disk.serial_number) == 20
    ecs.stop_instance(models.StopInstanceRequest(instance_id=instance_id))
    cloud_handle.run_until(lambda: found()[0].status == "Stopped")
    snapshot_id = ecs.create_snapshot(snapshot_of(disk.disk_id)).body.snapshot_id
    wanted = models.DescribeSnapshotsRequest(
        region_id=REGION, snapshot_ids=json.dumps([snapshot_id])
    )
    cloud_handle.run_until(
        lambda: ecs.describe_snapshots(wanted).body.snapshots.snapshot[0].status == "accomplished"
    )
    (snapshot,) = ecs.describe_snapshots(wanted).body.snapshots.snapshot
    assert (snapshot.progress, snapshot.source_disk_size) == ("100%", "40")
    ecs.delete_instance(models.DeleteInstanceRequest(instance_id=instance_id, force=True))
    cloud_handle.run_until(lambda: not found())
    names = json.dumps(["build"])
    ecs.delete_key_pairs(models.DeleteKeyPairsRequest(region_id=REGION, key_pair_names=names))
    ecs.delete_snapshot(models.DeleteSnapshotRequest(snapshot_id=snapshot_id))
    assert ecs.describe_snapshots(wanted).body.total_count == 0


def test_errors_keep_code_status_and_request_id(quiet_cloud: Handle) -> None:
    ecs = ecs_client(quiet_cloud.facts)
    with pytest.raises(ClientException) as caught:
        ecs.stop_instance(models.StopInstanceRequest(instance_id="i-unknown"))
    error = caught.value
    assert isinstance(error, TeaException)
    assert (error.code, error.status_code) == ("InvalidInstanceId.NotFound", 404)
    assert error.request_id
    assert error.data["HostId"] == quiet_cloud.facts["ecs_endpoint"]


def test_missing_parameters_are_found_by_the_server(quiet_cloud: Handle) -> None:
    ecs = ecs_client(quiet_cloud.facts)
    with pytest.raises(ClientException) as caught:
        ecs.run_instances(models.RunInstancesRequest())
    assert caught.value.code == "MissingParameter"


@pytest.mark.slow
async def test_the_async_client_is_answered_alike(cloud_handle: Handle) -> None:
    ecs = ecs_client(cloud_handle.facts)
    await ecs.import_key_pair_async(import_key())
    moment = cloud_handle.cloud.now().replace(year=cloud_handle.cloud.now().year + 1)
    body = await ecs.run_instances_async(
        order(cloud_handle.facts, auto_release_time=f"{moment:%FT%H:%M:%SZ}")
    )
    (instance_id,) = body.body.instance_id_sets.instance_id_set
    (found,) = (await ecs.describe_instances_async(by_ids(instance_id))).body.instances.instance
    assert found.auto_release_time == f"{moment:%FT%H:%MZ}"
    assert found.tags.tag[0].tag_value == "a/b:c~*+%é"
    with pytest.raises(ClientException) as caught:
        await ecs.delete_snapshot_async(models.DeleteSnapshotRequest(snapshot_id="s-unknown"))
    assert caught.value.code == "InvalidSnapshotId.NotFound"
