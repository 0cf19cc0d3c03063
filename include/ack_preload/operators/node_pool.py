"""Node pools: made with a snapshot on their last data disk, or changed to one.

ACK has no idempotency token, and may list late what it has made. So a pool is looked for by its
name before it is created, before a later try creates it, and after a reply that was unclear. One
that this installation made is taken over, whichever run it was; any other is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import (
    CloudError,
    InvalidInputError,
    ResourceFailedError,
    UnclearReplyError,
    WaitTimeoutError,
    is_unclear,
)
from ack_preload.domain.grammar import identifier
from ack_preload.domain.node_pools import NodePoolView, PoolSpec, tags_for_api
from ack_preload.domain.pool_differences import differences
from ack_preload.domain.pool_runs import (
    ROLLOUT,
    holder,
    is_changed_by,
    run_named,
    tags_of_change,
    tags_of_taking,
)
from ack_preload.domain.tags import (
    PREVIOUS_KEY,
    PURPOSE_KEY,
    Ownership,
    is_of_run,
    refuse_foreign,
)
from ack_preload.domain.waits import ABSENT
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.node_pool_size import size
from ack_preload.operators.pool_changes import AckOperator, pool_of
from ack_preload.operators.pool_runtime import check_runtime, source_runtime

if TYPE_CHECKING:
    from airflow.sdk import Context

NAME_TAKEN = "InvalidParameter.Name"
TURN_EVERY_S = 30.0
"""Pause between two looks whether another run is done with a pool."""
TURN_WITHIN = timedelta(hours=6)
"""No rollout takes so long: the run that has the pool hangs, or its DAG is paused."""
TURN_SINCE = "turn_since"
"""XCom: since when this try waits for its turn."""
LOST = "failed"
"""A state that a pool does not leave by itself; it is the console's word, not of the API."""
GOING = "deleting"


class ApplyNodePoolOperator(AckOperator):
    """Make a node pool whose last data disk is from a snapshot, or change one to it.

    Returns ``cluster_id``, ``node_pool_id``, ``created`` (by this run) and
    ``previous_snapshot_id`` (of a pool that an earlier run made; "" for none), once the pool is
    active.

    Of a pool that is there only the last data disk is changed. What else differs from the target
    stays as it is and is named in the log; in a pool that is there for one run only it is refused,
    as that run would time, or prove, something else. A pool that another run of this Airflow
    works on is waited for.

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
        self.about_to_create(context)
        spec, owner = self._wanted(context)
        found = self._of_that_name(spec)
        if found is not None:
            return self._adopt(context, found)
        if context["ti"].try_number > 1:  # an earlier one may have made it a moment ago
            subject = {"cluster_id": spec.cluster_id, "pool_name": self.pool_name}
            self.await_listed(subject, "look_before")
        return self._create(context, spec, owner)

    def look_before(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Create the pool, unless it is listed by now."""
        if event["state"] != ABSENT:
            self.read(event)
            return self.execute(context)
        self.about_to_create(context)
        return self._create(context, *self._wanted(context))

    def look_after(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Take over what the call with the unclear reply made, or let it be made again."""
        if event["state"] == ABSENT:
            raise UnclearReplyError(
                f"no node pool {self.pool_name} is listed after: {event['subject']['why']}"
            )
        self.read(event)
        return self.execute(context)

    def _wanted(self, context: Context) -> tuple[PoolSpec, Ownership]:
        target = as_mapping("target", self.target)
        identifier("pool_name", self.pool_name)
        if self.snapshot_id:
            identifier("snapshot_id", self.snapshot_id)
        spec = PoolSpec.from_mapping(target).on(self.image_type)
        return spec, self.ownership(context, target, keep=self.purpose == ROLLOUT)

    def _of_that_name(self, spec: PoolSpec) -> NodePoolView | None:
        """Return the pool of that name; of several, should ACK ever allow it, the oldest."""
        found = self.hook.node_pools_named(spec.cluster_id, self.pool_name)
        if len(found) > 1:
            ids = ", ".join(pool.node_pool_id for pool in found)
            self.log.warning("Several node pools are named %s: %s", self.pool_name, ids)
        return found[0] if found else None

    def _create(self, context: Context, spec: PoolSpec, owner: Ownership) -> dict[str, Any]:
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
            return self._look_again(context, spec, exc)
        self.log.info("Node pool %s (%s) started", node_pool_id, self.pool_name)
        return self._applied(spec, node_pool_id, task_id)

    def _look_again(
        self, context: Context, spec: PoolSpec, exc: CloudError | UnclearReplyError
    ) -> dict[str, Any]:
        """Take over the pool that a call without a readable reply made after all."""
        taken = isinstance(exc, CloudError) and exc.code == NAME_TAKEN
        if not taken and not is_unclear(exc):
            raise exc
        found = self._of_that_name(spec)
        if found is None:
            subject = {"cluster_id": spec.cluster_id, "pool_name": self.pool_name}
            self.await_listed({**subject, "why": str(exc)}, "look_after")
        self.log.warning("Node pool %s was made although: %s", found.node_pool_id, exc)
        return self._adopt(context, found)

    def _adopt(self, context: Context, found: NodePoolView) -> dict[str, Any]:
        spec, owner = self._wanted(context)
        what = f"node pool {found.node_pool_id} ({self.pool_name})"
        refuse_foreign(
            what, found.tags, self.installation, "choose another pool.name in the target"
        )
        if found.state == GOING:
            self.log.info("The %s is being deleted; a new one is made then", what)
            self.settle_first(spec.cluster_id, found.node_pool_id)
        if found.state == LOST:
            raise ResourceFailedError(f"{what} is {LOST}; repair or delete it, then clear the task")
        self._take_turn(context, found)
        self._compare(what, spec, found)
        check_runtime(found, self.snapshot_id)
        changes = self._changes(context, spec, owner, found)
        if not changes:
            self.log.info("The %s is as wanted", what)
            return self._applied(spec, found.node_pool_id, "")
        pool = spec.cluster_id, found.node_pool_id
        change = {"scaling_group": changes}
        task_id = self.change(*pool, lambda: self.hook.modify_node_pool(*pool, change, seen=found))
        self.log.info("The %s goes from %s to %s", what, found.snapshot_id, self.snapshot_id)
        return self._applied(spec, found.node_pool_id, task_id)

    def _take_turn(self, context: Context, found: NodePoolView) -> None:
        """Wait while the run that had the pool last still works: it may yet undo what it did.

        :raises WaitTimeoutError: when that run has no end.
        """
        last = holder(found.tags)
        other = None if last == self.run_tag(context) else run_named(last)
        if other is None:
            return
        dag_id, run_id = other
        if context["ti"].get_dr_count(dag_id, run_ids=[run_id], states=["running"]):
            pause = timedelta(seconds=self.account.poll_every_s or TURN_EVERY_S)
            why = f"node pool {found.node_pool_id} is in the hands of run {run_id} of {dag_id}"
            now = datetime.now(UTC)
            if now - self._turn_since(context, now) > TURN_WITHIN:
                raise WaitTimeoutError(f"{why} for {TURN_WITHIN}; let that run go on, or end it")
            self.look_again(now + pause, why)

    def _turn_since(self, context: Context, now: datetime) -> datetime:
        ti = context["ti"]
        since = ti.xcom_pull(task_ids=ti.task_id, key=TURN_SINCE, map_indexes=ti.map_index)
        if since is None:
            since = now.isoformat()
            ti.xcom_push(key=TURN_SINCE, value=since)
        return datetime.fromisoformat(since)

    def _compare(self, what: str, spec: PoolSpec, found: NodePoolView) -> None:
        """Say what a pool has otherwise than the target wants it; see the class.

        :raises InvalidInputError: for a pool that is there for one run only.
        """
        told = "; ".join(differences(spec, found, snapshot_id=self.snapshot_id or None))
        if told and self.purpose != ROLLOUT:
            raise InvalidInputError(
                f"{what} was made otherwise than the target says: {told}; delete it, or clear "
                "the whole run"
            )
        if told:
            self.log.warning("The %s keeps what the target has otherwise: %s", what, told)

    def _changes(
        self, context: Context, spec: PoolSpec, owner: Ownership, found: NodePoolView
    ) -> dict[str, Any]:
        """Return what has to change in the pool's scaling group; nothing when it is as wanted."""
        tags, snapshot_id = found.tags, self.snapshot_id or None
        mine = owner.run, owner.installation
        if found.snapshot_id == snapshot_id and found.is_for_runtime:
            taken = tags_of_taking(tags, *mine)
            return {} if taken == tags else {"tags": tags_for_api(taken)}
        if not found.data_disks:
            raise InvalidInputError(
                f"node pool {found.node_pool_id} ({found.name}) has no data disk to change; add "
                "one in the console, or delete the pool"
            )
        settled = self.is_recorded(context, found)
        noted = tags_of_change(tags, *mine, found.data_disks[-1], settled=settled)
        disks = found.disks_with(spec.data_disk(snapshot_id))
        return {"data_disks": disks, "tags": tags_for_api(noted)}

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
        tags, mine = found.tags if found else {}, (self.run_tag(context), self.installation)
        changed = is_changed_by(tags, *mine)
        return {
            **pool,
            "created": is_of_run(tags, *mine),
            "previous_snapshot_id": tags[PREVIOUS_KEY] if changed else "",
        }
