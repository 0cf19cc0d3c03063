"""Short ways to call a local cloud by the official SDKs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from alibabacloud_cs20151215 import models as cs_models
from alibabacloud_cs20151215.client import Client as CsClient
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client as EcsClient
from Tea.exceptions import TeaException

from emulator.app import Handle
from tests.emulator.sdk import cs_client, ecs_client

REGION = "cn-hangzhou"


@dataclass(frozen=True, slots=True)
class Clients:
    handle: Handle
    ecs: EcsClient
    cs: CsClient
    cluster: str

    def order(self, **changes: Any) -> str:
        facts = self.handle.facts
        request = models.RunInstancesRequest(
            region_id=REGION,
            image_id=facts["image_id"],
            instance_type=facts["instance_type"],
            v_switch_id=facts["vswitch_id"],
            security_group_id=facts["security_group_id"],
            data_disk=[models.RunInstancesRequestDataDisk(category="cloud_essd", size=40)],
            **changes,
        )
        instance_id: str = self.ecs.run_instances(request).body.instance_id_sets.instance_id_set[0]
        return instance_id

    def instances(self) -> list[str]:
        found = self.ecs.describe_instances(models.DescribeInstancesRequest(region_id=REGION))
        return [each.instance_id for each in found.body.instances.instance]

    def disks(self) -> list[str]:
        found = self.ecs.describe_disks(
            models.DescribeDisksRequest(region_id=REGION, disk_type="data")
        )
        return [each.disk_id for each in found.body.disks.disk]

    def snapshots(self, **by: Any) -> list[str]:
        request = models.DescribeSnapshotsRequest(region_id=REGION, **by)
        found = self.ecs.describe_snapshots(request)
        return [each.snapshot_id for each in found.body.snapshots.snapshot]

    def key_pairs(self) -> list[str]:
        found = self.ecs.describe_key_pairs(models.DescribeKeyPairsRequest(region_id=REGION))
        return [each.key_pair_name for each in found.body.key_pairs.key_pair]

    def pools(self) -> list[str]:
        found = self.cs.describe_cluster_node_pools(
            self.cluster, cs_models.DescribeClusterNodePoolsRequest()
        )
        return [each.nodepool_info.name for each in found.body.nodepools]


def clients_of(handle: Handle) -> Clients:
    facts = handle.facts
    return Clients(handle, ecs_client(facts), cs_client(facts), facts["cluster_id"])


@contextmanager
def answered(code: str, status: int | None = None) -> Iterator[None]:
    """Expect a refusal with the API's code, and its HTTP status where one is given."""
    with pytest.raises(TeaException) as caught:
        yield
    assert caught.value.code == code
    assert status in (None, caught.value.status_code)
