"""Write what a run achieved into the history, once it is proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ack_preload.domain.tags import sealed_tags
from ack_preload.hooks.history import open_store, run_of
from ack_preload.operators.base import CloudOperator
from ack_preload.operators.orders import EcsOperator
from ack_preload.store import BuildRecord, SnapshotRecord

if TYPE_CHECKING:
    from airflow.sdk import Context


class RecordSnapshotOperator(EcsOperator):
    """Record a finished snapshot of a sealed disk; only recorded ones are ever rolled out.

    The snapshot is tagged as sealed afterwards, so that a sweep with another history, or with a
    new one, takes it for good too.

    :param versions: ``{"kubernetes": ..., "runtime": ...}`` that the disk was made for.
    :param seal: what sealing the disk counted.
    """

    template_fields: Sequence[str] = (
        "target_name",
        "snapshot_id",
        "disk_id",
        "lock_digest",
        "instance_id",
        "versions",
        "seal",
        *CloudOperator.template_fields,
    )

    def __init__(
        self,
        *,
        target_name: str,
        snapshot_id: str,
        disk_id: str,
        lock_digest: str,
        instance_id: str,
        versions: Mapping[str, str],
        seal: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target_name = target_name
        self.snapshot_id = snapshot_id
        self.disk_id = disk_id
        self.lock_digest = lock_digest
        self.instance_id = instance_id
        self.versions = versions
        self.seal = seal

    def execute(self, context: Context) -> dict[str, str]:
        run, store = run_of(context), open_store()
        shared: dict[str, Any] = {
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "chain": run.chain,
            "target": self.target_name,
            "lock_digest": self.lock_digest,
            "disk_id": self.disk_id,
            "kubernetes_version": self.versions["kubernetes"],
            "runtime_version": self.versions["runtime"],
        }
        store.put_build(BuildRecord(**shared, instance_id=self.instance_id, seal=dict(self.seal)))
        store.put_snapshot(SnapshotRecord(**shared, snapshot_id=self.snapshot_id))
        self.hook.tag_snapshot(self.snapshot_id, sealed_tags(self.lock_digest))
        self.log.info("Snapshot %s holds lock %s", self.snapshot_id, self.lock_digest)
        return {"snapshot_id": self.snapshot_id, "lock_digest": self.lock_digest}
