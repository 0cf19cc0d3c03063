"""Node pools, the way back: restored to their earlier snapshot, or deleted."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ack_preload.domain.node_pools import NodePoolView, tags_for_api
from ack_preload.domain.tags import (
    APPLIED_KEY,
    PREVIOUS_KEY,
    PURPOSE_KEY,
    is_of_installation,
    refuse_foreign,
)
from ack_preload.hooks.history import open_store, run_of
from ack_preload.operators.base import CloudOperator
from ack_preload.operators.node_pool import ROLLOUT, AckOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class PoolsOperator(AckOperator):
    """Delete node pools one after the other; return the ids of those that are gone."""

    def _delete(self, cluster_id: str, pools: Sequence[NodePoolView]) -> list[str]:
        doomed = sorted(pool.node_pool_id for pool in pools)
        for node_pool_id in doomed:
            self.change(
                cluster_id,
                node_pool_id,
                functools.partial(self.hook.delete_node_pool, cluster_id, node_pool_id),
            )
            self.log.info("Node pool %s told to go, with its nodes", node_pool_id)
        return self._await_next(cluster_id, doomed, [])

    def _await_next(self, cluster_id: str, going: Sequence[str], gone: Sequence[str]) -> list[str]:
        if going:
            subject = {"cluster_id": cluster_id, "node_pool_id": going[0]}
            rest = {"going": list(going), "gone": list(gone)}
            self.wait_for("node_pool_gone", {**subject, **rest}, "resume_deleting")
        return list(gone)

    def resume_deleting(self, context: Context, event: Mapping[str, Any]) -> list[str]:
        self.read(event)
        subject = event["subject"]
        first, *rest = subject["going"]
        return self._await_next(subject["cluster_id"], rest, [*subject["gone"], first])


class DeleteNodePoolOperator(PoolsOperator):
    """Delete node pools of ours with their nodes; return the ids of those that are gone.

    With neither id nor name all pools of this run go, found by the run tag: so does one whose
    id never reached XCom. One that is gone already is fine; one without our tag is refused.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "node_pool_id",
        "pool_name",
        *CloudOperator.template_fields,
    )

    def __init__(
        self,
        *,
        cluster_id: str,
        node_pool_id: str | None = None,
        pool_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_id = cluster_id
        self.node_pool_id = node_pool_id
        self.pool_name = pool_name

    def execute(self, context: Context) -> list[str]:
        if not self.cluster_id:  # the run failed before it knew its target: nothing was made
            return []
        return self._delete(self.cluster_id, self._doomed(self.run_tag(context)))

    def _doomed(self, run: str) -> list[NodePoolView]:
        if not self.node_pool_id and not self.pool_name:
            return self.hook.node_pools_of_run(self.cluster_id, run, self.installation)
        found = (
            self.hook.node_pool(self.cluster_id, self.node_pool_id)
            if self.node_pool_id
            else self.hook.node_pool_named(self.cluster_id, self.pool_name or "")
        )
        if found is None:
            return []
        what = f"node pool {found.node_pool_id} ({found.name})"
        refuse_foreign(what, found.tags, self.installation)
        return [found]


class RestoreNodePoolOperator(PoolsOperator):
    """The way back: undo what this run's rollout did to the node pools of a cluster.

    A pool that the run created is deleted with its nodes; one that it changed gets its earlier
    snapshot again, for the nodes to come. What was done is read from the pools' own tags, so
    nothing has to reach this task from the one that failed.

    Spared are the pool whose rollout this run recorded, now or before it was cleared, and one
    that another run has changed since: they serve. A canary is not this task's to delete.
    """

    template_fields: Sequence[str] = ("cluster_id", *CloudOperator.template_fields)

    def __init__(self, *, cluster_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cluster_id = cluster_id

    def execute(self, context: Context) -> list[str]:
        if not self.cluster_id:  # the run failed before it knew its target: nothing was applied
            return []
        run = self.run_tag(context)
        changed = [pool for pool in self._unproven(context) if pool.tags.get(APPLIED_KEY) == run]
        task_ids = [self._restore(pool) for pool in changed]
        return self._settle_next(context, [task_id for task_id in task_ids if task_id])

    def _unproven(self, context: Context) -> list[NodePoolView]:
        """Return our pools of the cluster without the one that is recorded to serve."""
        recorded = open_store().rollout_for_run(run_of(context))
        serving = recorded.node_pool_id if recorded else ""
        if serving:
            self.log.info("Node pool %s stays: its rollout is recorded", serving)
        pools = self.hook.node_pools(self.cluster_id)
        return [
            each
            for each in pools
            if is_of_installation(each.tags, self.installation) and each.node_pool_id != serving
        ]

    def _settle_next(self, context: Context, task_ids: Sequence[str]) -> list[str]:
        """Wait for each change to be done, then delete what the run created."""
        if task_ids:
            first, *rest = task_ids
            self.wait_for("ack_task_succeeded", {"task_id": first, "rest": rest}, "settle")
        run = self.run_tag(context)
        created = [
            pool
            for pool in self._unproven(context)
            if self.is_of_run(context, pool.tags)
            and pool.tags.get(PURPOSE_KEY) == ROLLOUT
            and pool.tags.get(APPLIED_KEY, run) == run
        ]
        return self._delete(self.cluster_id, created)

    def settle(self, context: Context, event: Mapping[str, Any]) -> list[str]:
        self.read(event)
        return self._settle_next(context, event["subject"]["rest"])

    def _restore(self, pool: NodePoolView) -> str:
        previous = pool.tags.get(PREVIOUS_KEY) or None
        last = {k: v for k, v in pool.data_disks[-1].items() if v is not None}
        last.pop("snapshot_id", None)
        if previous:
            last["snapshot_id"] = previous
        tags = {k: v for k, v in pool.tags.items() if k not in (APPLIED_KEY, PREVIOUS_KEY)}
        group = {"data_disks": pool.disks_with(last), "tags": tags_for_api(tags)}
        task_id = self.change(
            self.cluster_id,
            pool.node_pool_id,
            lambda: self.hook.modify_node_pool(
                self.cluster_id, pool.node_pool_id, {"scaling_group": group}
            ),
        )
        self.log.info("Node pool %s goes back to snapshot %s", pool.node_pool_id, previous)
        return task_id
