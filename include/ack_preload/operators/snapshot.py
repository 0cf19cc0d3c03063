"""Snapshots of the preloaded disk: made, and discarded when nothing proved them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.domain.tags import Ownership, is_sealed
from ack_preload.hooks.history import open_store
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.orders import OrderingOperator
from ack_preload.operators.teardown import TeardownOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


ALIVE = frozenset({"progressing", "accomplished"})


class CreateSnapshotOperator(OrderingOperator):
    """Snapshot ``disk_id`` and return the snapshot id once it is accomplished.

    After its expiry retention may take it; the last good ones stay. One that failed is deleted
    at once.

    :param disk_id: the sealed disk of a stopped instance; not checked here.
    :param snapshot_name: 2 to 128 characters, not starting with ``auto``.
    :param lineage: further tags that tie the snapshot to its image lock and its build; a mapping
        or its JSON.
    :param target: the target as a mapping, or its JSON.
    :param makers: ids of the tasks of this run that made the disk.
    """

    needs = frozenset({"InvalidDiskId.NotFound"})
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
        makers: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.makers = makers
        self.disk_id = disk_id
        self.snapshot_name = snapshot_name
        self.lineage = lineage
        self.target = target

    def execute(self, context: Context) -> str:
        snapshot_id = self.obtain(context, as_mapping("target", self.target))
        self.wait_for("snapshot_accomplished", {"snapshot_id": snapshot_id})

    def alive(self, context: Context) -> list[str]:
        found = self.hook.snapshots(self.search(context))
        mine = [each for each in found if each.source_disk_id == self.disk_id]
        return [each.snapshot_id for each in mine if each.status in ALIVE]

    def is_listed(self, resource_id: str, *, is_alive: bool) -> bool:
        found = self.hook.snapshot(resource_id)
        return found is not None and (found.status in ALIVE or not is_alive)

    def ask(self, context: Context, owner: Ownership, salt: str) -> str:
        lineage = {key: str(value) for key, value in as_mapping("lineage", self.lineage).items()}
        snapshot_id = self.hook.create_snapshot(
            self.disk_id,
            name=self.snapshot_name,
            token=self.client_token(context, f"{self.disk_id}/{salt}"),
            tags=lineage | owner.tags(),
        )
        self.log.info("Snapshot %s of disk %s started", snapshot_id, self.disk_id)
        return snapshot_id

    def resume(self, context: Context, event: Mapping[str, Any]) -> str:
        snapshot_id = str(event["id"])
        try:
            self.read_made(context, event)
        except ResourceFailedError:
            self.hook.delete_snapshot(snapshot_id)
            self.log.info("Snapshot %s deleted, since it failed", snapshot_id)
            raise
        return snapshot_id


class DiscardSnapshotsOperator(TeardownOperator):
    """Delete the snapshots of this run that it did not record: unfinished, or of a bad disk.

    One that is recorded or tagged as sealed is good and stays; one without our run tag is never
    seen.

    :param makers: ids of the tasks of this run that make snapshots.
    """

    def __init__(self, *, makers: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.makers = makers

    def execute(self, context: Context) -> list[str]:
        store, found = open_store(), self.hook.snapshots(self.search(context))
        unproven = {
            each.snapshot_id: each.tags
            for each in found
            if not is_sealed(each.tags) and store.snapshot(each.snapshot_id) is None
        }
        doomed = self.delete_each("snapshot", unproven, self.hook.delete_snapshot)
        return self.end(context, doomed)
