"""Snapshot the preloaded disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.build_instance import EcsOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class CreateSnapshotOperator(EcsOperator):
    """Snapshot ``disk_id`` and return the snapshot id once it is accomplished.

    After its expiry retention may take it; the last good ones stay. One that failed is deleted
    at once.

    :param disk_id: the sealed disk of a stopped instance; not checked here.
    :param snapshot_name: 2 to 128 characters, not starting with ``auto``.
    :param lineage: further tags that tie the snapshot to its image lock and its build; a mapping
        or its JSON.
    :param target: the target as a mapping, or its JSON.
    """

    template_fields: Sequence[str] = (
        "disk_id",
        "snapshot_name",
        "lineage",
        "target",
        *CloudOperator.template_fields,
    )

    def __init__(
        self,
        *,
        disk_id: str,
        snapshot_name: str,
        lineage: Mapping[str, str] | str,
        target: Mapping[str, Any] | str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.disk_id = disk_id
        self.snapshot_name = snapshot_name
        self.lineage = lineage
        self.target = target

    def execute(self, context: Context) -> str:
        lineage = {key: str(value) for key, value in as_mapping("lineage", self.lineage).items()}
        owner = self.ownership(context, as_mapping("target", self.target))
        snapshot_id = self.hook.create_snapshot(
            self.disk_id,
            name=self.snapshot_name,
            token=self.client_token(context, f"{self.disk_id}/{owner.expires}"),
            tags=lineage | owner.tags(),
        )
        self.log.info("Snapshot %s of disk %s started", snapshot_id, self.disk_id)
        self.wait_for("snapshot_accomplished", {"snapshot_id": snapshot_id})

    def resume(self, context: Context, event: Mapping[str, Any]) -> str:
        snapshot_id = str(event["id"])
        try:
            self.read(event)
        except ResourceFailedError:
            self.hook.delete_snapshot(snapshot_id)
            self.log.info("Snapshot %s deleted, since it failed", snapshot_id)
            raise
        return snapshot_id
