"""Every emulated action once, as the official SDKs call it, in an order in which each can work."""

from __future__ import annotations

import json
from typing import Any

from alibabacloud_cs20151215 import models as cs
from alibabacloud_ecs20140526 import models as ecs

from emulator.ecs.resources import InstanceStatus
from tests.emulator.sdk_assistant_steps import ASSISTANT_STEPS
from tests.emulator.sdk_state import State, Step
from tests.emulator.world import PUBLIC_KEY

REGION = "cn-hangzhou"


def order(state: State) -> tuple[Any, ...]:
    disk = ecs.RunInstancesRequestDataDisk(
        category="cloud_essd", size=40, delete_with_instance=False
    )
    request = ecs.RunInstancesRequest(
        region_id=REGION,
        image_id=state.fact("image_id"),
        instance_type=state.fact("instance_type"),
        v_switch_id=state.fact("vswitch_id"),
        security_group_id=state.fact("security_group_id"),
        data_disk=[disk],
        tag=[ecs.RunInstancesRequestTag(key="run id", value="a/b:c~*+%é")],
        dry_run=False,
    )
    return (request,)


def by_json(state: State, name: str) -> str:
    return json.dumps([getattr(state.known, name)])


ECS_STEPS = (
    Step(
        "DescribeRegions",
        lambda _: (ecs.DescribeRegionsRequest(),),
        lambda _, body: body.regions.region[0].region_id == REGION,
    ),
    Step(
        "DescribeImageFromFamily",
        lambda _: (
            ecs.DescribeImageFromFamilyRequest(
                region_id=REGION, image_family="acs:alibaba_cloud_linux_3_2104_lts_x64"
            ),
        ),
        lambda state, body: body.image.image_id == state.fact("image_id"),
    ),
    Step(
        "DescribeImages",
        lambda state: (
            ecs.DescribeImagesRequest(region_id=REGION, image_id=state.fact("image_id")),
        ),
        lambda _, body: body.images.image[0].size == 20,
    ),
    Step(
        "ImportKeyPair",
        lambda _: (
            ecs.ImportKeyPairRequest(
                region_id=REGION, key_pair_name="step", public_key_body=PUBLIC_KEY
            ),
        ),
        lambda _, body: len(body.key_pair_finger_print) > 30,
    ),
    Step(
        "DescribeKeyPairs",
        lambda _: (ecs.DescribeKeyPairsRequest(region_id=REGION, key_pair_name="step"),),
        lambda _, body: body.key_pairs.key_pair[0].key_pair_name == "step",
    ),
    Step(
        "DeleteKeyPairs",
        lambda _: (ecs.DeleteKeyPairsRequest(region_id=REGION, key_pair_names='["step"]'),),
        lambda _, body: len(body.request_id) == 36,
    ),
    Step(
        "RunInstances",
        order,
        lambda state, body: state.keep(instance=body.instance_id_sets.instance_id_set[0]),
        lambda state: state.is_in(InstanceStatus.RUNNING),
    ),
    Step(
        "DescribeInstances",
        lambda state: (
            ecs.DescribeInstancesRequest(
                region_id=REGION, instance_ids=by_json(state, "instance"), max_results=10
            ),
        ),
        lambda _, body: body.instances.instance[0].tags.tag[0].tag_value == "a/b:c~*+%é",
    ),
    Step(
        "DescribeInstanceStatus",
        lambda state: (
            ecs.DescribeInstanceStatusRequest(region_id=REGION, instance_id=[state.known.instance]),
        ),
        lambda _, body: body.instance_statuses.instance_status[0].status == "Running",
    ),
    *ASSISTANT_STEPS,
    Step(
        "TagResources",
        lambda state: (
            ecs.TagResourcesRequest(
                region_id=REGION,
                resource_type="instance",
                resource_id=[state.known.instance],
                tag=[ecs.TagResourcesRequestTag(key="k", value="v")],
            ),
        ),
        lambda state, _: state.handle.cloud.instances[state.known.instance].tags["k"] == "v",
    ),
    Step(
        "DescribeDisks",
        lambda state: (
            ecs.DescribeDisksRequest(
                region_id=REGION, instance_id=state.known.instance, disk_type="data"
            ),
        ),
        lambda state, body: (
            state.keep(disk=body.disks.disk[0].disk_id)
            and body.disks.disk[0].size == 40
            and body.disks.disk[0].delete_with_instance is False
        ),
    ),
    Step(
        "StopInstance",
        lambda state: (ecs.StopInstanceRequest(instance_id=state.known.instance, force_stop=True),),
        lambda _, body: bool(body.request_id),
        lambda state: state.is_in(InstanceStatus.STOPPED),
    ),
    Step(
        "CreateSnapshot",
        lambda state: (
            ecs.CreateSnapshotRequest(
                disk_id=state.known.disk,
                retention_days=30,
                tag=[ecs.CreateSnapshotRequestTag(key="k", value="v")],
            ),
        ),
        lambda state, body: state.keep(snapshot=body.snapshot_id),
        State.is_accomplished,
    ),
    Step(
        "DescribeSnapshots",
        lambda state: (
            ecs.DescribeSnapshotsRequest(
                region_id=REGION,
                snapshot_ids=by_json(state, "snapshot"),
                tag=[ecs.DescribeSnapshotsRequestTag(key="k", value="v")],
            ),
        ),
        lambda _, body: body.snapshots.snapshot[0].retention_days == 30,
    ),
    Step(
        "DeleteSnapshot",
        lambda state: (ecs.DeleteSnapshotRequest(snapshot_id=state.known.snapshot, force=True),),
        lambda state, _: state.known.snapshot not in state.handle.cloud.snapshots,
    ),
    Step(
        "StartInstance",
        lambda state: (ecs.StartInstanceRequest(instance_id=state.known.instance),),
        lambda _, body: bool(body.request_id),
        lambda state: state.is_in(InstanceStatus.RUNNING),
    ),
    Step(
        "DeleteInstance",
        lambda state: (ecs.DeleteInstanceRequest(instance_id=state.known.instance, force=True),),
        lambda _, body: bool(body.request_id),
        State.has_no_instance,
    ),
    Step(
        "DeleteDisk",
        lambda state: (ecs.DeleteDiskRequest(disk_id=state.known.disk),),
        lambda state, _: state.known.disk not in state.handle.cloud.disks,
    ),
)


def cluster(state: State) -> str:
    return state.fact("cluster_id")


def pool_of(state: State) -> tuple[str, str]:
    return cluster(state), state.known.pool


def description(state: State) -> cs.CreateClusterNodePoolRequest:
    return cs.CreateClusterNodePoolRequest(
        nodepool_info=cs.CreateClusterNodePoolRequestNodepoolInfo(name="step"),
        scaling_group=cs.CreateClusterNodePoolRequestScalingGroup(
            vswitch_ids=[state.fact("vswitch_id")],
            instance_types=[state.fact("instance_type")],
            instance_charge_type="PostPaid",
            desired_size=1,
            data_disks=[cs.DataDisk(category="cloud_essd", size=40)],
        ),
    )


def task(state: State, body: Any) -> bool:
    return state.keep(task=body.task_id) and body.task_id.startswith("T-")
