"""Node pools: applied, scaled, taken back and deleted.

ACK has no idempotency token. A pool is looked for by its name before it is created, and again
when the reply was unclear; one with our tags is taken over, any other is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    InvalidInputError,
    UnclearReplyError,
    is_unclear,
)
from ack_preload.domain.node_pools import NodePoolView, PoolSpec, tags_for_api
from ack_preload.domain.tags import (
    APPLIED_KEY,
    PREVIOUS_KEY,
    PURPOSE_KEY,
    Ownership,
    is_of_run,
    refuse_foreign,
)
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.calls import POOL_BUSY
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.pool_runtime import check_runtime, source_runtime

if TYPE_CHECKING:
    from airflow.sdk import Context

NAME_TAKEN = "InvalidParameter.Name"
ROLLOUT = "rollout"
"""The purpose of a pool that outlives its run; a pool of any other purpose expires."""
MAX_RESTARTS = 20
"""A pool that is settled and still refuses is busy with something that nobody can see."""


class AckOperator(CloudOperator):
    restarts = 0  # how often this try found its pool busy

    @cached_property
    def hook(self) -> AckHook:
        return AckHook(self.conn_id, account=self.account)

    def await_task(self, task_id: str, subject: Mapping[str, Any], method_name: str) -> None:
        """Defer until ACK's task is done; return at once when there is none to wait for."""
        if task_id:
            self.wait_for("ack_task_succeeded", {"task_id": task_id, **subject}, method_name)

    def change(self, cluster_id: str, node_pool_id: str, send: Callable[[], str]) -> str:
        """Send a change of a node pool and return its task id.

        While another change is going on ACK refuses: then defer until the pool is settled, and
        begin again from :meth:`execute`, which has to find what it did before.
        """
        try:
            return send()
        except CloudUnavailableError as exc:
            if exc.code != POOL_BUSY or self.restarts >= MAX_RESTARTS:
                raise
            return self._settle_first(cluster_id, node_pool_id)

    def _settle_first(self, cluster_id: str, node_pool_id: str) -> NoReturn:
        self.log.info("Node pool %s is busy with another change", node_pool_id)
        subject = {"cluster_id": cluster_id, "node_pool_id": node_pool_id}
        again = {**subject, "restarts": self.restarts + 1}
        self.wait_for("node_pool_settled", again, "begin_again")

    def begin_again(self, context: Context, event: Mapping[str, Any]) -> Any:
        self.read(event)
        self.restarts = event["subject"]["restarts"]
        return self.execute(context)


class ApplyNodePoolOperator(AckOperator):
    """Make a node pool whose last data disk is from a snapshot, or change one to it.

    Returns ``cluster_id``, ``node_pool_id``, ``created`` (by this run) and
    ``previous_snapshot_id`` (of a pool that an earlier run made; "" for none), once the pool is
    active.

    :param target: the target as a mapping, or its JSON.
    :param snapshot_id: empty for a baseline pool with a blank disk.
    :param desired_size: of a pool that is created; one that exists keeps its own.
    :param purpose: ``rollout`` for a pool that is kept; any other has an expiry.
    :param image_type: takes the place of the target's, for a baseline on another system.
    """

    template_fields: Sequence[str] = (
        "target",
        "pool_name",
        "snapshot_id",
        "desired_size",
        "purpose",
        "image_type",
        *CloudOperator.template_fields,
    )

    def __init__(
        self,
        *,
        target: Mapping[str, Any] | str,
        pool_name: str,
        snapshot_id: str | None,
        desired_size: int | str = 0,
        purpose: str = ROLLOUT,
        image_type: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.target = target
        self.pool_name = pool_name
        self.snapshot_id = snapshot_id
        self.desired_size = desired_size
        self.purpose = purpose
        self.image_type = image_type

    def execute(self, context: Context) -> dict[str, Any]:
        target = as_mapping("target", self.target)
        spec = PoolSpec.from_mapping(target).on(self.image_type)
        owner = self.ownership(context, target, keep=self.purpose == ROLLOUT)
        found = self.hook.node_pool_named(spec.cluster_id, self.pool_name)
        if found is None:
            return self._create(spec, owner)
        return self._adopt(spec, owner, found)

    def _create(self, spec: PoolSpec, owner: Ownership) -> dict[str, Any]:
        body = spec.body(
            name=self.pool_name,
            snapshot_id=self.snapshot_id or None,
            desired_size=size(self.desired_size),
            runtime_version=source_runtime(self.hook, spec),
            tags=owner.tags() | {PURPOSE_KEY: self.purpose},
        )
        try:
            node_pool_id, task_id = self.hook.create_node_pool(spec.cluster_id, body)
        except (CloudError, UnclearReplyError) as exc:
            return self._look_again(spec, owner, exc)
        self.log.info("Node pool %s (%s) started", node_pool_id, self.pool_name)
        return self._applied(spec, node_pool_id, task_id)

    def _look_again(
        self, spec: PoolSpec, owner: Ownership, exc: CloudError | UnclearReplyError
    ) -> dict[str, Any]:
        """Take over the pool that a call without a readable reply made after all."""
        taken = isinstance(exc, CloudError) and exc.code == NAME_TAKEN
        if not taken and not is_unclear(exc):
            raise exc
        found = self.hook.node_pool_named(spec.cluster_id, self.pool_name)
        if found is None:
            raise exc
        self.log.warning("Node pool %s was made although: %s", found.node_pool_id, exc)
        return self._adopt(spec, owner, found)

    def _adopt(self, spec: PoolSpec, owner: Ownership, found: NodePoolView) -> dict[str, Any]:
        what = f"node pool {found.node_pool_id} ({self.pool_name})"
        mend = "choose another pool.name in the target"
        refuse_foreign(what, found.tags, self.installation, mend)
        if found.snapshot_id == (self.snapshot_id or None):
            self.log.info("Node pool %s is as wanted", found.node_pool_id)
            return self._applied(spec, found.node_pool_id, "")
        check_runtime(found, self.snapshot_id)
        task_id = self.change(
            spec.cluster_id,
            found.node_pool_id,
            lambda: self.hook.modify_node_pool(
                spec.cluster_id, found.node_pool_id, self._changes(spec, owner, found)
            ),
        )
        self.log.info(
            "Node pool %s changed from snapshot %s to %s",
            found.node_pool_id,
            found.snapshot_id,
            self.snapshot_id,
        )
        return self._applied(spec, found.node_pool_id, task_id)

    def _changes(self, spec: PoolSpec, owner: Ownership, found: NodePoolView) -> dict[str, Any]:
        """Return what differs: the data disks, and who changed them from what.

        The way back is written into the same call: a note that is made before or after it can
        be missing, or name a change that never was.
        """
        tags = dict(found.tags)
        made_here = is_of_run(tags, owner.run, owner.installation)
        if not made_here and tags.get(APPLIED_KEY) != owner.run:
            tags |= {APPLIED_KEY: owner.run, PREVIOUS_KEY: found.snapshot_id or ""}
        disks = found.disks_with(spec.data_disk(self.snapshot_id or None))
        return {"scaling_group": {"data_disks": disks, "tags": tags_for_api(tags)}}

    def _applied(self, spec: PoolSpec, node_pool_id: str, task_id: str) -> dict[str, Any]:
        subject = {"cluster_id": spec.cluster_id, "node_pool_id": node_pool_id}
        self.await_task(task_id, subject, "settle")
        self.wait_for("node_pool_active", subject)

    def settle(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on once the task is done: the pool itself may still be changing."""
        self.read(event)
        self.wait_for("node_pool_active", pool_of(event))

    def resume(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        self.read(event)
        pool = pool_of(event)
        found = self.hook.node_pool(pool["cluster_id"], pool["node_pool_id"])
        tags = found.tags if found else {}
        run = self.run_tag(context)
        return {
            **pool,
            "created": self.is_of_run(context, tags),
            "previous_snapshot_id": tags.get(PREVIOUS_KEY, "")
            if tags.get(APPLIED_KEY) == run
            else "",
        }


class ScaleNodePoolOperator(AckOperator):
    """Ask for ``desired_size`` nodes and return them once exactly so many are Ready.

    Returns ``nodes``: ``instance_id``, ``node_name``, ``private_ip``, ``creation_time`` (ISO
    8601 with its offset) of each; none for a size of 0, once all are gone.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "node_pool_id",
        "desired_size",
        *CloudOperator.template_fields,
    )

    def __init__(
        self, *, cluster_id: str, node_pool_id: str, desired_size: int | str, **kwargs: Any
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.cluster_id = cluster_id
        self.node_pool_id = node_pool_id
        self.desired_size = desired_size

    def execute(self, context: Context) -> dict[str, Any]:
        count = size(self.desired_size)
        task_id = self.change(
            self.cluster_id,
            self.node_pool_id,
            lambda: self.hook.set_desired_size(self.cluster_id, self.node_pool_id, count),
        )
        self.log.info("Node pool %s asked for %s nodes", self.node_pool_id, count)
        subject = {
            "cluster_id": self.cluster_id,
            "node_pool_id": self.node_pool_id,
            "count": count,
        }
        self.await_task(task_id, subject, "settle")
        self._await_nodes(subject)

    def settle(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on once the task is done: it ends when ACK is content, not when nodes are Ready."""
        self.read(event)
        self._await_nodes(event["subject"])

    def _await_nodes(self, subject: Mapping[str, Any]) -> NoReturn:
        self.wait_for("nodes_ready" if subject["count"] else "nodes_gone", subject)

    def resume(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        return {"nodes": self.read(event)["nodes"]}


def size(value: int | str) -> int:
    """Return a number of nodes, as given or as a template rendered it.

    :raises InvalidInputError: for anything below 0 or that is no whole number.
    """
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = -1
    if count < 0:
        raise InvalidInputError(
            f"desired_size is {value!r}; use a whole number of nodes, 0 or more"
        )
    return count


def pool_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the node pool that a wait was about."""
    return {key: event["subject"][key] for key in ("cluster_id", "node_pool_id")}
