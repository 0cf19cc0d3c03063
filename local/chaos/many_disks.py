"""Hundreds of instances with a data disk each, ordered a hundred with one call."""

from __future__ import annotations

from alibabacloud_ecs20140526 import models as ecs

from local.chaos.neighbours import Account

PER_CALL = 100


def order_instances(account: Account, name: str, count: int) -> None:
    facts = account.facts
    for begin in range(0, count, PER_CALL):
        account.ecs.run_instances(
            ecs.RunInstancesRequest(
                region_id=facts["region_id"],
                image_id=facts["image_id"],
                instance_type=facts["instance_type"],
                v_switch_id=facts["vswitch_id"],
                security_group_id=facts["security_group_id"],
                amount=min(PER_CALL, count - begin),
                instance_name=name,
                system_disk=ecs.RunInstancesRequestSystemDisk(category="cloud_essd", size="40"),
                data_disk=[
                    ecs.RunInstancesRequestDataDisk(
                        category="cloud_essd", size=40, delete_with_instance=True, disk_name=name
                    )
                ],
            )
        )


def disks_of_running(account: Account, name: str, count: int) -> list[str]:
    """Return the data disks of instances of that name, once ``count`` of these run."""
    region, found, token = account.facts["region_id"], list[str](), None
    running = ecs.DescribeInstancesRequest(
        region_id=region, instance_name=name, status="Running", page_number=1, page_size=1
    )
    if account.ecs.describe_instances(running).body.total_count < count:
        return []
    while True:
        request = ecs.DescribeDisksRequest(
            region_id=region, disk_name=name, max_results=PER_CALL, next_token=token
        )
        body = account.ecs.describe_disks(request).body
        found += [disk.disk_id for disk in body.disks.disk]
        if not (token := body.next_token):
            return found


def take_snapshot(account: Account, name: str, disk_id: str) -> str:
    request = ecs.CreateSnapshotRequest(disk_id=disk_id, snapshot_name=name)
    return str(account.ecs.create_snapshot(request).body.snapshot_id)
