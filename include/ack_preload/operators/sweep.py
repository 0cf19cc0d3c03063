"""Delete what carries our tag and is past its expiry, and snapshots that retention lets go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ack_preload.domain.disks import Snapshot
from ack_preload.domain.errors import CloudError, PreloadError, UnclearReplyError
from ack_preload.domain.node_pools import NodePoolView
from ack_preload.domain.retention import (
    Decision,
    Found,
    Keeping,
    SnapshotFacts,
    decide_expired,
    decide_instance,
    decide_snapshots,
)
from ack_preload.domain.tags import (
    PREVIOUS_KEY,
    PRODUCT,
    PRODUCT_KEY,
    is_ours,
    is_sealed,
)
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.history import open_store
from ack_preload.operators.base import CloudOperator
from ack_preload.store import Store
from ack_preload.targets import Target, load_targets

if TYPE_CHECKING:
    from airflow.sdk import Context

OURS = {PRODUCT_KEY: PRODUCT}


class SweepIncompleteError(PreloadError):
    """Something could not be judged or deleted; the message lists it all."""


class SweepLeftoversOperator(CloudOperator):
    """Sweep the account once; return what was deleted, by kind.

    Deleting is only asked for, not waited for: the next sweep sees what is still there. One
    refusal does not keep the rest from going; all are reported at the end, and make it red.

    :param is_dry_run: say what would be deleted and delete nothing.
    """

    template_fields: Sequence[str] = ("is_dry_run", "conn_id")

    def __init__(self, *, is_dry_run: bool | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_dry_run = is_dry_run

    @cached_property
    def ecs(self) -> EcsHook:
        return EcsHook(self.conn_id, account=self.account)

    @cached_property
    def ack(self) -> AckHook:
        return AckHook(self.conn_id, account=self.account)

    def execute(self, context: Context) -> dict[str, Any]:
        targets, now = load_targets().targets, datetime.now(UTC)
        dry = str(self.is_dry_run).lower() not in ("false", "0")
        problems: list[str] = []
        swept: dict[str, list[str]] = {}
        # All looks come before the first delete, which changes what the next look would see.
        for decision, delete in list(self._all(targets, now, problems)):
            if decision.doubtful:
                problems.append(str(decision))
            if not decision.delete:
                self.log.debug("%s", decision)
                continue
            self.log.info("%s%s", "dry run: " if dry else "", decision)
            if dry or self._deleted(decision, delete, problems):
                swept.setdefault(decision.found.kind, []).append(decision.found.resource_id)
        if problems:
            raise SweepIncompleteError("\n".join(problems))
        return {"dry_run": dry, "swept": swept, "total": sum(map(len, swept.values()))}

    def _deleted(
        self, decision: Decision, delete: Callable[[str], object], problems: list[str]
    ) -> bool:
        try:
            delete(decision.found.resource_id)
        except (CloudError, UnclearReplyError) as exc:
            problems.append(f"{decision}; refused: {exc}")
            return False
        return True

    def _all(
        self, targets: Sequence[Target], now: datetime, problems: list[str]
    ) -> Iterator[tuple[Decision, Callable[[str], object]]]:
        """Yield every resource with its decision and what deletes it.

        Node pools come first: their instances go with them.
        """
        pools = self._pools(targets, problems)
        for cluster_id, listed in pools.items():
            for pool in listed:
                found = Found("node pool", pool.node_pool_id, pool.tags)
                yield decide_expired(found, now), _in_cluster(self.ack, cluster_id)
        clusters = {target.cluster_id for target in targets}
        members, members_known = self._members(pools, problems)
        members_known &= len(pools) == len(clusters)
        for instance in self.ecs.instances(OURS):
            if instance.instance_id not in members:
                found = Found("instance", instance.instance_id, instance.tags)
                decision = decide_instance(found, now, members_known=members_known)
                yield decision, self.ecs.delete_instance
        for disk in self.ecs.disks(OURS):
            if disk.status == "Available":
                found = Found("disk", disk.disk_id, disk.tags)
                yield decide_expired(found, now), self.ecs.delete_disk
        for name, tags in self.ecs.key_pairs(OURS).items():
            yield decide_expired(Found("key pair", name, tags), now), self.ecs.delete_key_pair
        if len(pools) == len(clusters):
            for decision in self._snapshots(targets, pools, now):
                yield decision, self.ecs.delete_snapshot

    def _pools(
        self, targets: Sequence[Target], problems: list[str]
    ) -> dict[str, list[NodePoolView]]:
        """Return the node pools of every cluster; a cluster that cannot be read is a problem."""
        found = {}
        for cluster_id in sorted({target.cluster_id for target in targets}):
            try:
                found[cluster_id] = self.ack.node_pools(cluster_id)
            except (CloudError, UnclearReplyError) as exc:
                problems.append(
                    f"node pools of cluster {cluster_id} cannot be read, so no snapshot was "
                    f"swept: {exc}"
                )
        return found

    def _members(
        self, pools: dict[str, list[NodePoolView]], problems: list[str]
    ) -> tuple[frozenset[str], bool]:
        """Return the instances that are nodes, and whether those are all.

        ACK removes them with their pool. A pool that cannot be read is a problem.
        """
        members: set[str] = set()
        known = True
        for cluster_id, listed in pools.items():
            for pool in (each for each in listed if is_ours(each.tags)):
                try:
                    nodes = self.ack.nodes(cluster_id, pool.node_pool_id)
                except (CloudError, UnclearReplyError) as exc:
                    known = False
                    problems.append(
                        f"nodes of node pool {pool.node_pool_id} cannot be read, so only build "
                        f"instances were swept: {exc}"
                    )
                else:
                    members.update(node.instance_id for node in nodes)
        return frozenset(members), known

    def _snapshots(
        self, targets: Sequence[Target], pools: dict[str, list[NodePoolView]], now: datetime
    ) -> list[Decision]:
        store = open_store()
        facts = [
            SnapshotFacts(
                found=Found("snapshot", snapshot.snapshot_id, snapshot.tags),
                created=datetime.fromisoformat(snapshot.created),
                is_good=_is_good(snapshot, store),
            )
            for snapshot in self.ecs.snapshots(OURS)
        ]
        keeping = {target.name: _keeping(target) for target in targets}
        referenced = {
            snapshot_id
            for listed in pools.values()
            for pool in listed
            for snapshot_id in _named_by(pool)
        }
        return decide_snapshots(
            facts,
            referenced=referenced,
            keeping=keeping,
            now=now,
            clusters=pools.keys(),
            unrecorded=[name for name in keeping if not store.snapshots(name)],
        )


class DiscardSnapshotsOperator(CloudOperator):
    """Delete the snapshots of this run that it did not record: unfinished, or of a bad disk.

    A teardown. One that is recorded or tagged as sealed is good and stays; one without our run
    tag is never seen.
    """

    @cached_property
    def ecs(self) -> EcsHook:
        return EcsHook(self.conn_id, account=self.account)

    def execute(self, context: Context) -> list[str]:
        store = open_store()
        discarded = []
        for snapshot in self.ecs.snapshots(self.search(context)):
            if self.is_of_run(context, snapshot.tags) and not _is_good(snapshot, store):
                self.ecs.delete_snapshot(snapshot.snapshot_id)
                self.log.info("Snapshot %s deleted: it was never proven", snapshot.snapshot_id)
                discarded.append(snapshot.snapshot_id)
        return discarded


def _is_good(snapshot: Snapshot, store: Store) -> bool:
    """Tell whether a build proved it: the history may be lost, the tag is not."""
    return is_sealed(snapshot.tags) or store.snapshot(snapshot.snapshot_id) is not None


def _in_cluster(ack: AckHook, cluster_id: str) -> Callable[[str], object]:
    return lambda node_pool_id: ack.delete_node_pool(cluster_id, node_pool_id)


def _named_by(pool: NodePoolView) -> Iterator[str]:
    """Yield every snapshot that a pool needs: of its disks, and of its way back."""
    for disk in pool.data_disks:
        if snapshot_id := disk.get("snapshot_id"):
            yield str(snapshot_id)
    if previous := pool.tags.get(PREVIOUS_KEY):
        yield previous


def _keeping(target: Target) -> Keeping:
    limits = target.limits
    return Keeping(
        last=limits.keep_snapshots,
        min_age=timedelta(hours=limits.min_snapshot_age_h),
        unproven_for=timedelta(hours=limits.expire_after_h),
    )
