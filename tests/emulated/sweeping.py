"""What tests of the sweep share: targets, an Airflow with runs, and something to sweep."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ack_preload.domain.tags import EXPIRES_KEY
from ack_preload.hooks.history import open_store
from ack_preload.operators.build_instance import RunBuildInstanceOperator
from ack_preload.operators.key_pair import ImportKeyPairOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator
from ack_preload.operators.sweep import SweepLeftoversOperator
from ack_preload.store import SnapshotRecord
from emulator.app import Handle
from tests.emulated.driving import context, perform, target

LONG_AGO = "2020-01-01T00:00:00Z"


def write_targets(folder: Path, cloud: Handle, **changes: Any) -> None:
    measure = {"workload_image": cloud.facts["workload_image"]}
    limits = {"keep_snapshots": 1, "min_snapshot_age_h": 0, "expire_after_h": 1}
    fields = {**target(cloud), "measure": measure, "limits": limits, **changes}
    (folder / "targets.yaml").write_text(yaml.safe_dump({"targets": [fields]}))


def sweeper(*, dry: bool = False, grace_min: int = 30) -> SweepLeftoversOperator:
    return SweepLeftoversOperator(task_id="sweep", is_dry_run=str(dry), grace_min=grace_min)


def airflow(state: str | None = "success", *, active: str = "") -> Any:
    """Return the context of a sweep in an Airflow where every run has this state, or is gone.

    :param active: the DAG that has yet another run, one that runs.
    """

    def count(
        dag_id: str, run_ids: list[str] | None = None, states: list[str] | None = None
    ) -> int:
        if run_ids is None:
            return int(dag_id == active)
        assert (dag_id, len(run_ids)) in (("build_preloaded_disk", 1), ("measure_ready_latency", 1))
        return int(state is not None and state in (states or [state]))

    return context(get_dr_count=count)


def sweep(
    state: str | None = "success", *, dry: bool = False, grace_min: int = 30
) -> dict[str, Any]:
    found: dict[str, Any] = sweeper(dry=dry, grace_min=grace_min).execute(airflow(state))
    return found


def make_instance(cloud: Handle, run_id: str = "manual__1") -> dict[str, Any]:
    made: dict[str, Any] = perform(
        RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name="demo-nodes"),
        context(run_id=run_id),
    )
    return made


def make_key_pair(cloud: Handle, name: str = "ours", run_id: str = "manual__1") -> str:
    operator = ImportKeyPairOperator(task_id="k", key_pair_name=name, target=target(cloud))
    return str(perform(operator, context(run_id=run_id)))


def make_snapshot(cloud: Handle, disk_id: str, run_id: str) -> str:
    operator = CreateSnapshotOperator(
        task_id="snapshot",
        disk_id=disk_id,
        snapshot_name="ack-preload-demo",
        lineage={},
        target=target(cloud),
    )
    return str(perform(operator, context(run_id=run_id)))


def record(snapshot_id: str) -> None:
    open_store().put_snapshot(
        SnapshotRecord(
            snapshot_id=snapshot_id,
            dag_id="build_preloaded_disk",
            run_id=snapshot_id,
            target="demo",
            lock_digest="sha256:0",
            created_at=datetime.now(UTC),
        )
    )


def expire(cloud: Handle) -> None:
    """Let everything that expires have expired long ago."""
    state = cloud.cloud
    for kind in (state.instances, state.disks, state.key_pairs):
        for each in kind.values():
            if EXPIRES_KEY in each.tags:
                each.tags[EXPIRES_KEY] = LONG_AGO
    for pool in state.node_pools.values():
        for tag in pool.scaling_group.get("tags") or []:
            if tag["key"] == EXPIRES_KEY:
                tag["value"] = LONG_AGO


def standing(cloud: Handle) -> tuple[set[str], set[str], set[str]]:
    """Return instances, key pairs and node pools that nobody has told to go."""
    state = cloud.cloud
    return (
        {each.instance_id for each in state.instances.values() if not each.is_being_released},
        set(state.key_pairs),
        {each.node_pool_id for each in state.node_pools.values() if each.state != "deleting"},
    )
