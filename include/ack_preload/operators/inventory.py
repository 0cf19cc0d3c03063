"""What the sweep looks at: all of an account that may be ours, and what Airflow says of its runs.

A listing that fails leaves a gap and a problem, which makes the sweep red; the rest is still swept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ack_preload.domain.errors import CloudError, NotFoundError, UnclearReplyError
from ack_preload.domain.leftovers import Found, RunState, run_named
from ack_preload.domain.node_pools import NodePoolView
from ack_preload.domain.tags import CLUSTER_KEY, PREVIOUS_KEY, PRODUCT, PRODUCT_KEY, is_ours
from ack_preload.hooks.ack_reading import NO_CLUSTER

if TYPE_CHECKING:
    from ack_preload.domain.disks import Snapshot
    from ack_preload.hooks.ack import AckHook
    from ack_preload.hooks.ecs import EcsHook

T = TypeVar("T")
OURS = {PRODUCT_KEY: PRODUCT}
ACTIVE = ["queued", "running"]
NO_SNAPSHOT = "so no snapshot was swept"


class Runs:
    """What Airflow says of the runs that tags name; :meth:`state` asks once for each."""

    def __init__(self, task_instance: Any) -> None:
        self._ti = task_instance
        self._known: dict[str, RunState] = {}

    def state(self, tag: str) -> RunState:
        if tag not in self._known:
            self._known[tag] = self.look(tag)
        return self._known[tag]

    def is_any_active(self, dag_id: str) -> bool:
        return bool(self._ti.get_dr_count(dag_id, states=ACTIVE))

    def look(self, tag: str) -> RunState:
        """Ask anew."""
        named = run_named(tag)
        if named is None:
            return RunState.UNTOLD
        dag_id, run_id = named
        if not self._ti.get_dr_count(dag_id, run_ids=[run_id]):
            return RunState.GONE
        active = self._ti.get_dr_count(dag_id, run_ids=[run_id], states=ACTIVE)
        return RunState.ACTIVE if active else RunState.ENDED


@dataclass(slots=True)
class Inventory:
    """Looks at the account, one kind after the other.

    :ivar problems: what could not be read, and what was left out for it.
    :ivar is_late: whether the time of this sweep is over: then nothing more is read.
    :ivar pools: the node pools of each cluster that was read, ours and others.
    :ivar pools_known: whether those are all that there are in the region.
    """

    ecs: EcsHook
    ack: AckHook
    problems: list[str]
    is_late: Callable[[], bool] = lambda: False
    pools: dict[str, list[NodePoolView]] = field(default_factory=dict)
    pools_known: bool = True

    def attempt(self, what: str, look: Callable[[], T], *, then: str = "") -> T | None:
        """Return what ``look`` finds; ``None``, and a problem, when the cloud does not tell."""
        why: object = "the time of this sweep is over; the next one goes on"
        if not self.is_late():
            try:
                return look()
            except (CloudError, UnclearReplyError) as exc:
                why = exc
            except (KeyError, TypeError, ValueError, AttributeError) as exc:
                # One record that is not as documented; nobody knows what else it would have told.
                why = f"an answer is not as documented: {type(exc).__name__} {exc}"
        self.problems.append(f"{what} cannot be read{f', {then}' if then else ''}: {why}")
        return None

    def read_pools(self, clusters_of_targets: Collection[str]) -> None:
        """Read the node pools of every cluster of the region.

        A target's cluster is read although it is not listed: if it is not there, the target is
        wrong, and what else is may be as well.
        """
        listed = self.attempt("the list of clusters", self.ack.clusters, then=NO_SNAPSHOT)
        self.pools_known = listed is not None
        for cluster_id in sorted({*(listed or ()), *clusters_of_targets}):
            self._read_pools_of(cluster_id)

    def read_pools_named_by(self, snapshots: Collection[Snapshot]) -> None:
        """Read those of clusters that snapshots are for and that were not listed.

        Such a cluster is gone, most likely; then no pool of it needs anything.
        """
        named = {snapshot.tags.get(CLUSTER_KEY, "") for snapshot in snapshots}
        for cluster_id in sorted(named - self.pools.keys() - {""}):
            self._read_pools_of(cluster_id, may_be_gone=True)

    def _read_pools_of(self, cluster_id: str, *, may_be_gone: bool = False) -> None:
        def look() -> list[NodePoolView]:
            try:
                return self.ack.node_pools(cluster_id)
            except NotFoundError as exc:
                if may_be_gone and exc.code == NO_CLUSTER:
                    return []
                raise

        pools = self.attempt(f"node pools of cluster {cluster_id}", look, then=NO_SNAPSHOT)
        if pools is None:
            self.pools_known = False
        else:
            self.pools[cluster_id] = pools

    def node_pools(self) -> Iterator[tuple[str, NodePoolView]]:
        """Yield each node pool with its cluster."""
        for cluster_id, pools in self.pools.items():
            for pool in pools:
                yield cluster_id, pool

    def members(self) -> tuple[frozenset[str], bool]:
        """Return the instances that are nodes, and whether those are all.

        ACK removes them with their pool. A pool that cannot be read is a problem.
        """
        members: set[str] = set()
        known = self.pools_known
        for cluster_id, pools in self.pools.items():
            for pool in (each for each in pools if is_ours(each.tags)):
                nodes = self.attempt(
                    f"nodes of node pool {pool.node_pool_id}",
                    partial(self.ack.nodes, cluster_id, pool.node_pool_id),
                    then="so only build instances were swept",
                )
                known &= nodes is not None
                members.update(node.instance_id for node in nodes or ())
        return frozenset(members), known

    def instances(self) -> list[Found]:
        found = self.attempt("the list of instances", lambda: self.ecs.instances(OURS)) or []
        return [Found("instance", each.instance_id, each.tags, each.created) for each in found]

    def disks(self) -> list[Found]:
        """Return the disks that hang on nothing; others go with their instance."""
        found = self.attempt("the list of disks", lambda: self.ecs.disks(OURS)) or []
        return [
            Found("disk", each.disk_id, each.tags, each.created)
            for each in found
            if each.status == "Available"
        ]

    def key_pairs(self) -> list[Found]:
        found = self.attempt("the list of key pairs", lambda: self.ecs.list_key_pairs(OURS)) or []
        return [Found("key pair", each.name, each.tags, each.created) for each in found]

    def snapshots(self) -> list[Snapshot] | None:
        return self.attempt("the list of snapshots", lambda: self.ecs.snapshots(OURS))

    def referenced(self) -> frozenset[str]:
        """Return every snapshot that a pool needs: for its disks, and for its way back."""
        pools = [pool for listed in self.pools.values() for pool in listed]
        disks = [disk.get("snapshot_id") for pool in pools for disk in pool.data_disks]
        ways_back = [pool.tags.get(PREVIOUS_KEY) for pool in pools]
        return frozenset(str(each) for each in (*disks, *ways_back) if each)
