"""Elastic Compute Service: disks and snapshots.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-createsnapshot
https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describedisks
https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-tagresources
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ack_preload.domain.disks import Disk, Snapshot
from ack_preload.hooks.cloud import CloudHook, plain
from ack_preload.hooks.whole import WholeReplies

if TYPE_CHECKING:
    from alibabacloud_ecs20140526 import models as ecs
    from alibabacloud_ecs20140526.client import Client


class EcsStorage(CloudHook):
    """Disks and snapshots."""

    @cached_property
    def client(self) -> Client:
        from alibabacloud_ecs20140526.client import Client

        class Checked(WholeReplies, Client):  # type: ignore[misc]  # the SDK has no types
            """The client, which takes no answer for none."""

        return Checked(self.account.config(self.account.ecs_endpoint))

    def disks(
        self, tags: Mapping[str, str] | None = None, *, instance_id: str | None = None
    ) -> list[Disk]:
        """Return the disks that carry all ``tags`` and hang on ``instance_id``."""
        return list(self._disks(tags or {}, instance_id=instance_id))

    def disks_from(self, snapshot_id: str) -> list[Disk]:
        """Return the disks that were made from a snapshot and are still there, whose ever."""
        return list(self._disks({}, snapshot_id=snapshot_id))

    def data_disks(self, instance_id: str) -> list[Disk]:
        """Return the data disks of an instance, each with the serial that the machine sees."""
        return list(self._disks({}, instance_id=instance_id, disk_type="data"))

    def _disks(self, tags: Mapping[str, str], **filters: Any) -> Iterator[Disk]:
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DescribeDisksRequest(
            region_id=self.account.region,
            max_results=self.page_size,
            tag=[ecs.DescribeDisksRequestTag(key=k, value=v) for k, v in tags.items()],
            **filters,
        )
        while True:
            answer = self._read("DescribeDisks", lambda: self.client.describe_disks(request))
            body = plain(answer.body)
            yield from (Disk.from_api(each) for each in body["Disks"]["Disk"])
            request.next_token = body.get("NextToken") or None
            if not request.next_token:
                return

    def delete_disk(self, disk_id: str) -> None:
        """Release a disk that hangs on nothing; one that is gone is fine."""
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DeleteDiskRequest(disk_id=disk_id)
        self._send("DeleteDisk", lambda: self.client.delete_disk(request))

    def create_snapshot(
        self, disk_id: str, *, name: str, token: str, tags: Mapping[str, str]
    ) -> str:
        """Start a snapshot and return its id at once.

        :param token: idempotency key, 64 ASCII characters at most. The same token gives the
            same snapshot, so a task that died after this call finds it again.
        """
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.CreateSnapshotRequest(
            disk_id=disk_id,
            snapshot_name=name,
            client_token=token,
            tag=[ecs.CreateSnapshotRequestTag(key=k, value=v) for k, v in tags.items()],
        )
        answer = self._read("CreateSnapshot", lambda: self.client.create_snapshot(request))
        return str(answer.body.snapshot_id)

    def snapshot(self, snapshot_id: str) -> Snapshot | None:
        """Return the snapshot, or ``None`` when the cloud does not list it."""
        found = self.snapshots(snapshot_ids=[snapshot_id])
        return found[0] if found else None

    def snapshots(
        self, tags: Mapping[str, str] | None = None, snapshot_ids: list[str] | None = None
    ) -> list[Snapshot]:
        """Return the snapshots that carry all ``tags``."""
        request = self._describe_snapshots(tags or {}, snapshot_ids)
        found: list[Snapshot] = []
        while True:
            answer = self._read(
                "DescribeSnapshots", lambda: self.client.describe_snapshots(request)
            )
            body = plain(answer.body)
            found += [Snapshot.from_api(each) for each in body["Snapshots"]["Snapshot"]]
            request.next_token = body.get("NextToken") or None
            if not request.next_token:
                return found

    def _describe_snapshots(
        self, tags: Mapping[str, str], snapshot_ids: list[str] | None
    ) -> ecs.DescribeSnapshotsRequest:
        from alibabacloud_ecs20140526 import models as ecs

        return ecs.DescribeSnapshotsRequest(
            region_id=self.account.region,
            snapshot_ids=json.dumps(snapshot_ids) if snapshot_ids else None,
            max_results=self.page_size,
            tag=[ecs.DescribeSnapshotsRequestTag(key=k, value=v) for k, v in tags.items()],
        )

    def tag_snapshot(self, snapshot_id: str, tags: Mapping[str, str]) -> None:
        """Add tags to a snapshot; a tag that it has gets the new value."""
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.TagResourcesRequest(
            region_id=self.account.region,
            resource_type="snapshot",
            resource_id=[snapshot_id],
            tag=[ecs.TagResourcesRequestTag(key=k, value=v) for k, v in tags.items()],
        )
        self._send("TagResources", lambda: self.client.tag_resources(request))

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot, finished or not; one that is gone is fine.

        Without ``Force``: one that a disk was made from is refused by the cloud, and stays.
        """
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DeleteSnapshotRequest(snapshot_id=snapshot_id)
        self._send("DeleteSnapshot", lambda: self.client.delete_snapshot(request))
