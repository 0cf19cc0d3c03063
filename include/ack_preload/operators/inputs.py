"""Read and check what a run was started with, before its first cloud call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

from ack_preload.domain import grammar
from ack_preload.domain.errors import InvalidInputError
from ack_preload.domain.tags import token
from ack_preload.domain.workload import temporary_target
from ack_preload.hooks.account import DEFAULT_CONN_ID, Account
from ack_preload.hooks.history import begin_installation, open_store, run_of
from ack_preload.hooks.registry_login import registry_logins
from ack_preload.targets import Target, load_target, load_targets

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ack_preload.store import LockRecord, Run, SnapshotRecord, Store

Needs = Literal["target", "lock", "snapshot"]
SHORT = 8  # hex digits that tell runs apart in names


class ReadInputsOperator(BaseOperator):
    """Return the target and what an earlier DAG made for it, each as an XCom of its own.

    Keys: ``target`` (a dict), ``temporary`` (the same, for node pools that are deleted again),
    ``name`` (of the target), ``run`` (short, to tell runs apart), ``resource`` (a name for what
    the run makes), and, as far as needed, ``lock_digest`` and ``snapshot_id``. What a param
    leaves empty is what the same ``nightly_preload`` run made, and without such a run the newest
    of the target.

    :param target: name of a target; empty when the file has one only.
    :param needs: how far the chain must have come: ``target``, ``lock`` or ``snapshot``.
    """

    template_fields: Sequence[str] = ("target", "lock_digest", "snapshot_id", "conn_id")

    def __init__(
        self,
        *,
        target: str = "{{ params.target }}",
        needs: Needs = "target",
        lock_digest: str = "",
        snapshot_id: str = "",
        conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.conn_id = conn_id
        self.target = target
        self.needs = needs
        self.lock_digest = lock_digest
        self.snapshot_id = snapshot_id

    def execute(self, context: Context) -> dict[str, Any]:
        run = run_of(context)
        if run.chain:
            grammar.run_id("param chain", run.chain)
        if self.lock_digest:
            grammar.digest("param lock_digest", self.lock_digest)
        if self.snapshot_id:
            grammar.identifier("param snapshot_id", self.snapshot_id)
        target = load_target(self.target)
        if self.needs != "snapshot":  # a disk that is made pulls no more
            registry_logins(target.registry_conn_ids)
        fields = target.to_dict()
        installation = begin_installation(Account.get(self.conn_id))
        short = token(installation, run.dag_id, run.run_id)[:SHORT]
        found: dict[str, Any] = {
            "target": fields,
            "temporary": temporary_target(fields),
            "name": target.name,
            "installation": installation,
            "run": short,
            "resource": f"ack-preload-{target.name}-{short}",
        }
        match self.needs:
            case "target":
                pass
            case "lock":
                found["lock_digest"] = self._lock(target, run).digest
            case "snapshot":
                snapshot = self._snapshot(target, run)
                found["snapshot_id"] = snapshot.snapshot_id
                found["lock_digest"] = snapshot.lock_digest
        chosen = {key: value for key, value in found.items() if isinstance(value, str)}
        self.log.info("Target %s: %s", target.name, chosen)
        return found

    def _lock(self, target: Target, run: Run) -> LockRecord:
        store = open_store()
        found = self._chosen_lock(store, target, run)
        if found is None:
            raise InvalidInputError(
                f"lock_digest is {self.lock_digest!r} and target {target.name} has no such image "
                "lock; run export_image_list for it first"
            )
        return found

    def _chosen_lock(self, store: Store, target: Target, run: Run) -> LockRecord | None:
        if self.lock_digest:
            return store.lock_record(self.lock_digest, target=target.name)
        if run.chain:
            return store.lock_for_chain(target.name, run.chain)
        return store.latest_lock(target.name)

    def _snapshot(self, target: Target, run: Run) -> SnapshotRecord:
        store = open_store()
        found = self._chosen_snapshot(store, target, run)
        if found is None:
            raise InvalidInputError(
                f"snapshot_id is {self.snapshot_id!r} and target {target.name} has no such "
                "snapshot; run build_preloaded_disk for it first"
            )
        if found.target != target.name:
            raise InvalidInputError(
                f"snapshot {found.snapshot_id} belongs to target {found.target}, not {target.name}"
            )
        return found

    def _chosen_snapshot(self, store: Store, target: Target, run: Run) -> SnapshotRecord | None:
        if self.snapshot_id:
            return store.snapshot(self.snapshot_id)
        if run.chain:
            return store.snapshot_for_chain(target.name, run.chain)
        return store.latest_snapshot(target.name)


class ListTargetsOperator(BaseOperator):
    """Return the names of all targets, or of the one that ``target`` names; checks them all."""

    template_fields: Sequence[str] = ("target",)

    def __init__(self, *, target: str = "{{ params.target }}", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target

    def execute(self, context: Context) -> list[str]:
        if self.target:
            return [load_target(self.target).name]
        return [target.name for target in load_targets().targets]
