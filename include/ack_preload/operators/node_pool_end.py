"""Node pools, the way back: restored to their earlier disk, or deleted.

All of it is read from the pools' own tags, so nothing has to reach these tasks from one that
failed. A cloud that lists late what it has made is asked again: see ``unsettled_until``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import NotFoundError, ResourceFailedError
from ack_preload.domain.node_pools import NodePoolView, tags_for_api
from ack_preload.domain.pool_runs import (
    ROLLOUT,
    disk_before,
    holder,
    is_changed_by,
    is_only_of,
    tags_of_return,
)
from ack_preload.domain.tags import PREVIOUS_KEY, PURPOSE_KEY, is_of_installation, refuse_foreign
from ack_preload.hooks.ack_reading import NO_CLUSTER
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.base import CloudOperator
from ack_preload.operators.pool_changes import AckOperator
from ack_preload.operators.teardown import GONE

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ack_preload.domain.disks import Snapshot

USABLE = "accomplished"


class PoolsOperator(AckOperator):
    """Delete node pools one after the other; return the ids of those that are gone.

    :ivar makers: ids of the tasks of this run that make what is deleted here.
    """

    makers: Sequence[str] = ()

    def _delete(
        self, context: Context, cluster_id: str, pools: Sequence[NodePoolView]
    ) -> list[str]:
        for pool in sorted(pools, key=lambda each: each.node_pool_id):
            self.change(
                cluster_id,
                pool.node_pool_id,
                functools.partial(
                    self.hook.delete_node_pool, cluster_id, pool.node_pool_id, seen=pool
                ),
            )
            self.log.info("Node pool %s told to go, with its nodes", pool.node_pool_id)
        doomed = sorted(pool.node_pool_id for pool in pools)
        return self._await_next(context, cluster_id, doomed, [])

    def _await_next(
        self, context: Context, cluster_id: str, going: Sequence[str], gone: Sequence[str]
    ) -> list[str]:
        if going:
            subject = {"cluster_id": cluster_id, "node_pool_id": going[0]}
            rest = {"going": list(going), "gone": list(gone)}
            self.wait_for("node_pool_gone", {**subject, **rest}, "resume_deleting")
        return self._end(context, gone)

    def _end(self, context: Context, gone: Sequence[str]) -> list[str]:
        """Return all that this try deleted; first look again while more may come to light."""
        ti = context["ti"]
        before = ti.xcom_pull(task_ids=ti.task_id, key=GONE, map_indexes=ti.map_index) or []
        every = list(dict.fromkeys([*before, *gone]))
        makers = self.makers if self._may_miss(context, every) else ()
        if until := self.unsettled_until(context, makers):
            ti.xcom_push(key=GONE, value=every)
            self.look_again(until)
        return every

    def _may_miss(self, context: Context, gone: Sequence[str]) -> bool:
        """Tell whether the makers may have made what the cloud does not list yet."""
        return not gone

    def resume_deleting(self, context: Context, event: Mapping[str, Any]) -> list[str]:
        self.read(event)
        subject = event["subject"]
        first, *rest = subject["going"]
        return self._await_next(context, subject["cluster_id"], rest, [*subject["gone"], first])


class DeleteNodePoolOperator(PoolsOperator):
    """Delete node pools of ours with their nodes; return the ids of those that are gone.

    With neither id nor name all pools of this run go, found by the run tag: so does one whose
    id never reached XCom. One that is gone already is fine; one without our tag is refused.

    :param makers: ids of the tasks of this run that make what is to be deleted.
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
        makers: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_id = cluster_id
        self.node_pool_id = node_pool_id
        self.pool_name = pool_name
        self.makers = makers

    def execute(self, context: Context) -> list[str]:
        if not self.cluster_id:  # the run failed before it knew its target: nothing was made
            return []
        return self._delete(context, self.cluster_id, self._doomed(context))

    def _may_miss(self, context: Context, gone: Sequence[str]) -> bool:
        by_run = not self.node_pool_id and not self.pool_name  # there may be one of each maker
        return by_run or not gone

    def _doomed(self, context: Context) -> list[NodePoolView]:
        if not self.node_pool_id and not self.pool_name:
            run = self.run_tag(context)
            return self.hook.node_pools_of_run(self.cluster_id, run, self.installation)
        if self.node_pool_id:
            one = self.hook.node_pool(self.cluster_id, self.node_pool_id)
            found = [one] if one else []
        else:
            found = self.hook.node_pools_named(self.cluster_id, self.pool_name or "")
        for pool in found:
            what = f"node pool {pool.node_pool_id} ({pool.name})"
            refuse_foreign(what, pool.tags, self.installation)
        return found


class RestoreNodePoolOperator(PoolsOperator):
    """The way back: undo what this run's rollout did to the node pools of a cluster.

    A pool that the run created is deleted with its nodes; one that it changed gets its earlier
    data disk again, exactly as that was, for the nodes to come.

    Spared are the pool whose rollout this run recorded, now or before it was cleared, and one
    that another run has had since, changed or as it was: they serve. A canary is not this task's
    to delete. A pool whose earlier snapshot is gone keeps what it has, and the task fails.

    :param makers: ids of the tasks of this run that make or change such a pool.
    """

    template_fields: Sequence[str] = ("cluster_id", *CloudOperator.template_fields)

    def __init__(self, *, cluster_id: str, makers: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cluster_id = cluster_id
        self.makers = makers

    @cached_property
    def ecs(self) -> EcsHook:
        return EcsHook(self.conn_id, account=self.account)

    def execute(self, context: Context) -> list[str]:
        if not self.cluster_id:  # the run failed before it knew its target: nothing was applied
            return []
        task_ids = [self._restore(pool) for pool in self._changed(context)]
        return self._settle_next(context, [task_id for task_id in task_ids if task_id])

    def _may_miss(self, context: Context, gone: Sequence[str]) -> bool:
        """One pool is all that a rollout makes: when it is seen, good or bad, there is no more."""
        run = self.run_tag(context)
        seen = [pool for pool in self._pools() if pool.tags.get(PURPOSE_KEY) == ROLLOUT]
        return not gone and not any(holder(pool.tags) == run for pool in seen)

    def _pools(self) -> list[NodePoolView]:
        """Return our pools of the cluster; none when the cluster is gone."""
        try:
            listed = self.hook.node_pools(self.cluster_id)
        except NotFoundError as exc:
            if exc.code != NO_CLUSTER:
                raise
            return []
        return [pool for pool in listed if is_of_installation(pool.tags, self.installation)]

    def _changed(self, context: Context) -> list[NodePoolView]:
        """Return the pools that this run changed and did not record as good."""
        mine = self.run_tag(context), self.installation
        return [
            pool
            for pool in self._pools()
            if is_changed_by(pool.tags, *mine) and not self._serves(context, pool)
        ]

    def _created(self, context: Context) -> list[NodePoolView]:
        """Return the pools that this run made for good, no other has had, and are not recorded."""
        mine = self.run_tag(context), self.installation
        return [
            pool
            for pool in self._pools()
            if is_only_of(pool.tags, *mine)
            and pool.tags.get(PURPOSE_KEY) == ROLLOUT
            and not self._serves(context, pool)
        ]

    def _serves(self, context: Context, pool: NodePoolView) -> bool:
        if not self.is_recorded(context, pool):
            return False
        self.log.info("Node pool %s stays: its rollout is recorded", pool.node_pool_id)
        return True

    def _settle_next(self, context: Context, task_ids: Sequence[str]) -> list[str]:
        """Wait for each change to be done, then delete what the run created."""
        if task_ids:
            first, *rest = task_ids
            self.wait_for("ack_task_succeeded", {"task_id": first, "rest": rest}, "settle")
        return self._delete(context, self.cluster_id, self._created(context))

    def settle(self, context: Context, event: Mapping[str, Any]) -> list[str]:
        self.read(event)
        return self._settle_next(context, event["subject"]["rest"])

    def _end(self, context: Context, gone: Sequence[str]) -> list[str]:
        """Fail for each pool whose way back is gone: it has to be seen, and it serves meanwhile."""
        stuck = [
            f"node pool {pool.node_pool_id} ({pool.name}) keeps snapshot {pool.snapshot_id}, as "
            f"snapshot {pool.tags[PREVIOUS_KEY]}, which it had before this run, is gone"
            for pool in self._changed(context)
        ]
        if stuck:
            raise ResourceFailedError(
                f"{'; '.join(stuck)}; run build_preloaded_disk and roll_out_node_pool again"
            )
        return super()._end(context, gone)

    def _restore(self, pool: NodePoolView) -> str:
        """Give a pool its earlier disk; return the task id, "" when that cannot be had any more."""
        previous = pool.tags[PREVIOUS_KEY]
        snapshot = self.ecs.snapshot(previous) if previous else None
        if previous and (snapshot is None or snapshot.status != USABLE):
            self.log.error("Snapshot %s, the way back of %s, is gone", previous, pool.node_pool_id)
            return ""
        last = disk_before(pool.tags) or _derived(pool, snapshot)
        group = {
            "data_disks": pool.disks_with(last),
            "tags": tags_for_api(tags_of_return(pool.tags)),
        }
        ids = self.cluster_id, pool.node_pool_id
        change = {"scaling_group": group}
        task_id = self.change(*ids, lambda: self.hook.modify_node_pool(*ids, change, seen=pool))
        self.log.info("Node pool %s goes back to snapshot %s", pool.node_pool_id, previous)
        return task_id


def _derived(pool: NodePoolView, snapshot: Snapshot | None) -> dict[str, Any]:
    """Return the earlier disk of a pool that an earlier release changed, which noted no more."""
    last = {k: v for k, v in pool.data_disks[-1].items() if v is not None}
    last.pop("snapshot_id", None)
    if snapshot is None:
        return last
    return {**last, "snapshot_id": snapshot.snapshot_id, "size": snapshot.source_disk_gib}
