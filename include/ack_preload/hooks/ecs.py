"""Elastic Compute Service: the build instance. One call a method, plain values out.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-overview
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ack_preload.domain.disks import BuildSpec, Instance
from ack_preload.domain.tags import iso
from ack_preload.hooks.cloud import plain
from ack_preload.hooks.ecs_keys import EcsKeys

if TYPE_CHECKING:
    from alibabacloud_ecs20140526 import models as ecs


class EcsHook(EcsKeys):
    """Instances, with the disks, snapshots and key pairs of its base."""

    def run_instance(
        self,
        spec: BuildSpec,
        *,
        name: str,
        key_pair_name: str,
        release_at: datetime,
        token: str,
        tags: Mapping[str, str],
        user_data: str = "",
    ) -> str:
        """Start one instance with one blank data disk and return its id at once.

        It has no public address, hands out no metadata without a token, takes its disks with it
        when it is deleted, and is released by the cloud itself at ``release_at``.

        :param release_at: at least 30 minutes ahead, whole minutes, the same on every try.
        :param token: idempotency key, 64 ASCII characters at most. The same token with the same
            parameters gives the same instance, so a lost reply makes no second one.
        :param tags: put on the instance and on both disks.
        """
        from alibabacloud_ecs20140526 import models as ecs

        request = self._order(spec, name, token)
        request.key_pair_name = key_pair_name
        request.auto_release_time = iso(release_at)
        if user_data:
            request.user_data = base64.b64encode(user_data.encode()).decode()
        request.tag = [ecs.RunInstancesRequestTag(key=k, value=v) for k, v in tags.items()]
        answer = self._read("RunInstances", lambda: self.client.run_instances(request))
        (instance_id,) = answer.body.instance_id_sets.instance_id_set
        return str(instance_id)

    def _order(self, spec: BuildSpec, name: str, token: str) -> ecs.RunInstancesRequest:
        """Describe one instance by its spec: no public address, metadata only with a token."""
        from alibabacloud_ecs20140526 import models as ecs

        return ecs.RunInstancesRequest(
            region_id=self.account.region,
            zone_id=spec.zone_id,
            image_id=spec.image_id,
            instance_type=spec.instance_type,
            v_switch_id=spec.vswitch_id,
            security_group_id=spec.security_group_id,
            instance_name=name,
            amount=1,
            instance_charge_type="PostPaid",
            internet_max_bandwidth_out=0,
            http_endpoint="enabled",
            http_tokens="required",
            client_token=token,
            system_disk=ecs.RunInstancesRequestSystemDisk(
                category=spec.system_disk_category,
                size=str(spec.system_disk_gib),
                performance_level=spec.level(spec.system_disk_category),
            ),
            data_disk=[
                ecs.RunInstancesRequestDataDisk(
                    category=spec.disk_category,
                    size=spec.disk_gib,
                    performance_level=spec.level(spec.disk_category),
                    delete_with_instance=True,
                    disk_name=name,
                )
            ],
        )

    def instance(self, instance_id: str) -> Instance | None:
        """Return the instance, or ``None`` when the cloud does not list it."""
        found = self.instances(instance_ids=[instance_id])
        return found[0] if found else None

    def instances(
        self, tags: Mapping[str, str] | None = None, instance_ids: list[str] | None = None
    ) -> list[Instance]:
        """Return the instances that carry all ``tags``."""
        found: list[Instance] = []
        token: str | None = None
        while True:
            request = self._describe_instances(tags or {}, instance_ids, token)
            body = plain(self._read("DescribeInstances", self._sent(request)).body)
            found += [Instance.from_api(each) for each in body["Instances"]["Instance"]]
            token = body.get("NextToken") or None
            if not token:
                return found

    def _sent(self, request: ecs.DescribeInstancesRequest) -> Callable[[], Any]:
        return lambda: self.client.describe_instances(request)

    def _describe_instances(
        self, tags: Mapping[str, str], instance_ids: list[str] | None, token: str | None
    ) -> ecs.DescribeInstancesRequest:
        from alibabacloud_ecs20140526 import models as ecs

        return ecs.DescribeInstancesRequest(
            region_id=self.account.region,
            instance_ids=json.dumps(instance_ids) if instance_ids else None,
            max_results=self.page_size,
            next_token=token,
            tag=[ecs.DescribeInstancesRequestTag(key=k, value=v) for k, v in tags.items()],
        )

    def stop_instance(self, instance_id: str, *, is_young: bool = False) -> None:
        """Shut the instance down in order: the power is not cut while a disk is written.

        :param is_young: it was just made, so an answer that it is unknown means "not yet".
        """
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.StopInstanceRequest(
            instance_id=instance_id, force_stop=False, stopped_mode="KeepCharging"
        )
        self._send("StopInstance", lambda: self.client.stop_instance(request), is_young=is_young)

    def delete_instance(self, instance_id: str) -> None:
        """Release the instance and its disks, running or not; one that is gone is fine."""
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DeleteInstanceRequest(instance_id=instance_id, force=True)
        self._send("DeleteInstance", lambda: self.client.delete_instance(request))

    def test_connection(self) -> tuple[bool, str]:
        """Answer the button in Airflow's connection form: keys, region and endpoint work."""
        try:
            found = self.instances(instance_ids=["i-airflow-connection-test"])
        except Exception as exc:  # whatever it is, the form shows it
            return False, str(exc)
        return True, f"ECS answers in {self.account.region} ({len(found)} instances)"
