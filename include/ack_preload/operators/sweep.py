"""Delete what this installation made and left, and snapshots that retention lets go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from ack_preload.domain.disks import Snapshot
from ack_preload.domain.errors import (
    CloudError,
    ForeignResourceError,
    InvalidInputError,
    PreloadError,
    UnclearReplyError,
)
from ack_preload.domain.leftovers import Decision, Found, Judge, RunState
from ack_preload.domain.retention import Keeping, Retention, SnapshotFacts
from ack_preload.domain.tags import is_sealed
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.history import SHARE, open_store
from ack_preload.operators.base import CloudOperator
from ack_preload.operators.inventory import NO_SNAPSHOT, Inventory, Runs
from ack_preload.store import Store
from ack_preload.targets import Target, load_targets

if TYPE_CHECKING:
    from airflow.sdk import Context

CALL_S = 5.0
"""Longest time that one call of a sweep is repeated for: the next sweep sends it again."""
PICKERS = ("roll_out_node_pool", "measure_ready_latency")
"""DAGs whose runs pick a snapshot some time before a node pool names it."""
Deletion = tuple[Decision, Callable[[str], object]]


class SweepIncompleteError(PreloadError):
    """Something could not be judged or deleted; the message lists it all."""


class SweepLeftoversOperator(CloudOperator):
    """Sweep the account once; return what was deleted, by kind, and what others left.

    Deleting is only asked for, not waited for: the next sweep sees what is still there. One
    refusal does not keep the rest from going; all are reported at the end, and make it red.

    :cvar within_s: after so long the rest is left to the next sweep: a worker is held meanwhile.
    :param is_dry_run: say what would be deleted and delete nothing.
    :param grace_min: minutes for which nothing goes for its run being over, from its creation on.
    """

    within_s = 600.0
    _started = 0.0
    _needed_now: Callable[[], frozenset[str] | None]
    template_fields: Sequence[str] = ("is_dry_run", "grace_min", "conn_id")

    def __init__(self, *, is_dry_run: bool | str, grace_min: int | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_dry_run = is_dry_run
        self.grace_min = grace_min

    @cached_property
    def ecs(self) -> EcsHook:
        hook = EcsHook(self.conn_id, account=self.account)
        hook.budget_s = CALL_S
        return hook

    @cached_property
    def ack(self) -> AckHook:
        hook = AckHook(self.conn_id, account=self.account)
        hook.budget_s = CALL_S
        return hook

    @cached_property
    def installation(self) -> str:
        """Return which Airflow this is, "" while its history does not say: nothing is its own."""
        return self.account.installation or open_store().known_installation() or ""

    def execute(self, context: Context) -> dict[str, Any]:
        dry = str(self.is_dry_run).lower() not in ("false", "0")
        runs = Runs(context["ti"])
        self._started = time.monotonic()
        problems: list[str] = []
        judge = Judge(
            now=datetime.now(UTC),
            installation=self.installation,
            grace=timedelta(minutes=int(self.grace_min)),
            run_state=runs.state,
        )
        swept: dict[str, list[str]] = {}
        foreign: list[str] = []
        # All looks come before the first delete, which changes what the next look would see.
        for decision, delete in list(self._all(judge, problems)):
            if decision.doubtful:
                problems.append(str(decision))
            if decision.is_foreign:
                foreign.append(str(decision))
            if not decision.delete:
                self.log.debug("%s", decision)
            elif dry or self._deleted(decision, delete, runs, problems):
                self.log.info("%s%s", "dry run: " if dry else "", decision)
                swept.setdefault(decision.found.kind, []).append(decision.found.resource_id)
        for each in foreign:
            self.log.warning("%s; only the installation that made it may", each)
        if foreign and not self.installation:
            problems.append(
                "the history of this worker knows of no installation, so nothing here is its own. "
                f"{SHARE}, or set the extra installation of {self.conn_id}"
            )
        if problems:
            raise SweepIncompleteError("\n".join(problems))
        total = sum(map(len, swept.values()))
        return {"dry_run": dry, "swept": swept, "total": total, "foreign": foreign}

    def _deleted(
        self,
        decision: Decision,
        delete: Callable[[str], object],
        runs: Runs,
        problems: list[str],
    ) -> bool:
        if self._is_late():
            problems.append(f"{decision}; not yet, as the time of this sweep is over")
            return False
        if spared := self._spared(decision.found, runs):
            self.log.info("%s: kept, since %s", decision, spared)
            return False
        try:
            delete(decision.found.resource_id)
        except (CloudError, UnclearReplyError, ForeignResourceError) as exc:
            problems.append(f"{decision}; refused: {exc}")
            return False
        return True

    def _is_late(self) -> bool:
        return time.monotonic() - self._started > self.within_s

    def _spared(self, found: Found, runs: Runs) -> str:
        """Return what has come between since ``found`` was judged, minutes ago, or "" for nothing.

        A run that was cleared takes up what it made, expired or not.
        """
        was_active = runs.state(found.run) is RunState.ACTIVE
        if not was_active and runs.look(found.run) is RunState.ACTIVE:
            return "its run was cleared meanwhile"
        if found.kind != "snapshot":
            return ""
        for dag_id in PICKERS:
            if runs.is_any_active(dag_id):
                return f"a run of {dag_id} may have picked it"
        needed = self._needed_now()
        if needed is None:
            return "the node pools cannot be read any more"
        return "a node pool names it by now" if found.resource_id in needed else ""

    def _all(self, judge: Judge, problems: list[str]) -> Iterator[Deletion]:
        """Yield every resource with its decision and what deletes it.

        Node pools come first: their instances go with them.
        """
        seen = Inventory(self.ecs, self.ack, problems, self._is_late)
        targets = _targets(problems)
        seen.read_pools({target.cluster_id for target in targets or ()})
        store = open_store()
        for cluster_id, pool in seen.node_pools():
            decision = judge.node_pool(
                Found("node pool", pool.node_pool_id, pool.tags, pool.created),
                is_recorded=store.has_rollout_of(pool.node_pool_id),
                is_known=store.snapshot(pool.snapshot_id or "") is not None,
            )
            # Not one that a run has changed since it was judged.
            yield decision, partial(self.ack.delete_node_pool, cluster_id, seen=pool)
        members, members_known = seen.members()
        for instance in seen.instances():
            if instance.resource_id not in members:
                decision = judge.instance(instance, members_known=members_known)
                yield decision, self.ecs.delete_instance
        for disk in seen.disks():
            yield judge.temporary(disk), self.ecs.delete_disk
        for key_pair in seen.key_pairs():
            yield judge.temporary(key_pair), self.ecs.delete_key_pair
        for decision in self._snapshots(seen, targets, judge):
            yield decision, self.ecs.delete_snapshot

    def _snapshots(
        self, seen: Inventory, targets: Sequence[Target] | None, judge: Judge
    ) -> Iterator[Decision]:
        """Judge the snapshots; none when something that they may depend on is not known."""
        snapshots = seen.snapshots()
        seen.read_pools_named_by(snapshots or ())
        if snapshots is None or targets is None or not seen.pools_known:
            return
        self._needed_now = cache(lambda: self._needed(seen, targets, snapshots))
        store = open_store()
        facts = [_facts(snapshot, store) for snapshot in snapshots]
        retention = Retention(
            judge,
            referenced=seen.referenced(),
            keeping={target.name: _keeping(target) for target in targets},
            unrecorded={
                target for target in {each.target for each in facts} if not store.snapshots(target)
            },
        )
        for decision in retention.decide(facts):
            yield self._unless_in_use(seen, decision) if decision.delete else decision

    def _needed(
        self, seen: Inventory, targets: Sequence[Target], snapshots: Sequence[Snapshot]
    ) -> frozenset[str] | None:
        """Look anew which snapshots node pools name, right before the first one is deleted."""
        anew = Inventory(self.ecs, self.ack, seen.problems, self._is_late)
        anew.read_pools({target.cluster_id for target in targets})
        anew.read_pools_named_by(snapshots)
        return anew.referenced() if anew.pools_known else None

    def _unless_in_use(self, seen: Inventory, decision: Decision) -> Decision:
        """Keep a snapshot while a disk made from it is there: ECS would refuse to delete it."""
        snapshot_id = decision.found.resource_id
        disks = seen.attempt(
            f"disks from snapshot {snapshot_id}",
            lambda: self.ecs.disks_from(snapshot_id),
            then="so it was kept",
        )
        if disks == []:
            return decision
        used = f"disk {disks[0].disk_id} is made from it" if disks else "its disks are not known"
        return Decision(decision.found, delete=False, why=used)


def _is_good(snapshot: Snapshot, store: Store) -> bool:
    """Tell whether a build proved it: the history may be lost, the tag is not."""
    return is_sealed(snapshot.tags) or store.snapshot(snapshot.snapshot_id) is not None


def created_of(text: str) -> datetime | None:
    """Return when a snapshot was made; ``None`` when what the cloud tells is no time."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _facts(snapshot: Snapshot, store: Store) -> SnapshotFacts:
    created = created_of(snapshot.created)
    found = Found("snapshot", snapshot.snapshot_id, snapshot.tags, created)
    return SnapshotFacts(found, created, is_good=_is_good(snapshot, store))


def _targets(problems: list[str]) -> Sequence[Target] | None:
    try:
        return load_targets().targets
    except InvalidInputError as exc:
        problems.append(f"the file of targets cannot be read, {NO_SNAPSHOT}: {exc}")
        return None


def _keeping(target: Target) -> Keeping:
    limits = target.limits
    return Keeping(
        last=limits.keep_snapshots,
        min_age=timedelta(hours=limits.min_snapshot_age_h),
        unproven_for=timedelta(hours=limits.expire_after_h),
    )
