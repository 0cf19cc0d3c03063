"""The end of a rollout: new nodes of the target's pool are Ready, and the history says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.hooks.history import open_store, run_of
from ack_preload.operators.base import CloudOperator
from ack_preload.operators.pool_changes import AckOperator
from ack_preload.store import RolloutRecord

if TYPE_CHECKING:
    from airflow.sdk import Context


class AwaitNewNodesOperator(AckOperator):
    """Wait for the nodes of a pool that this run created; return how many are Ready.

    A pool that was there keeps its nodes, in whatever state: they are not of this rollout. More
    nodes than were asked for are none of our business: a pool may have an autoscaler.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "node_pool_id",
        "created",
        *CloudOperator.template_fields,
    )

    def __init__(
        self, *, cluster_id: str, node_pool_id: str, created: bool | str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_id = cluster_id
        self.node_pool_id = node_pool_id
        self.created = created

    def execute(self, context: Context) -> int:
        pool = self.hook.node_pool(self.cluster_id, self.node_pool_id)
        if pool is None:
            raise ResourceFailedError(
                f"node pool {self.node_pool_id}, which this run applied, is gone; run the DAG again"
            )
        if pool.desired_size and self.created in (True, "True"):
            subject = {"cluster_id": self.cluster_id, "node_pool_id": self.node_pool_id}
            count = {"count": pool.desired_size, "or_more": True}
            self.wait_for("nodes_ready", {**subject, **count})
        self.log.info("Node pool %s gets the new disk with its next nodes", self.node_pool_id)
        return 0

    def resume(self, context: Context, event: Mapping[str, Any]) -> int:
        return len(self.read(event)["nodes"])


class RecordRolloutOperator(BaseOperator):
    """Record a rollout whose nodes were proven to hold every image of the lock."""

    template_fields: Sequence[str] = (
        "target_name",
        "snapshot_id",
        "node_pool_id",
        "previous_snapshot_id",
        "lock_digest",
        "images_verified",
    )

    def __init__(
        self,
        *,
        target_name: str,
        snapshot_id: str,
        node_pool_id: str,
        lock_digest: str,
        images_verified: int | str,
        previous_snapshot_id: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target_name = target_name
        self.snapshot_id = snapshot_id
        self.node_pool_id = node_pool_id
        self.lock_digest = lock_digest
        self.images_verified = images_verified
        self.previous_snapshot_id = previous_snapshot_id

    def execute(self, context: Context) -> dict[str, Any]:
        run = run_of(context)
        open_store().put_rollout(
            RolloutRecord(
                dag_id=run.dag_id,
                run_id=run.run_id,
                chain=run.chain,
                target=self.target_name,
                snapshot_id=self.snapshot_id,
                node_pool_id=self.node_pool_id,
                previous_snapshot_id=self.previous_snapshot_id or "",
                lock_digest=self.lock_digest,
                images_verified=int(self.images_verified),
            )
        )
        self.log.info("Node pool %s runs on snapshot %s", self.node_pool_id, self.snapshot_id)
        return {"node_pool_id": self.node_pool_id, "images_verified": int(self.images_verified)}
