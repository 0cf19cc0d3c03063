"""The sweep against the local cloud, with foreign resources beside ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ack_preload.domain.errors import CloudError, CloudUnavailableError
from ack_preload.domain.tags import EXPIRES_KEY, PRODUCT_KEY, PURPOSE_KEY, sealed_tags
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.history import open_store
from ack_preload.operators.build_instance import RunBuildInstanceOperator
from ack_preload.operators.key_pair import ImportKeyPairOperator
from ack_preload.operators.node_pool_size import ScaleNodePoolOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator
from ack_preload.operators.sweep import (
    DiscardSnapshotsOperator,
    SweepIncompleteError,
    SweepLeftoversOperator,
)
from ack_preload.store import SnapshotRecord
from ack_preload.targets.load import PATH_VARIABLE
from emulator.app import Handle
from tests.emulated.driving import context, perform, target
from tests.emulated.measuring import make_pool, measured

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def world(cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the sweep a file of targets and a history."""
    store = {"conn_type": "sqlite", "host": str(tmp_path / "history.db")}
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", json.dumps(store))
    write_targets(tmp_path, cloud)
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "targets.yaml"))


def write_targets(folder: Path, cloud: Handle, **changes: Any) -> None:
    measure = {"workload_image": cloud.facts["workload_image"]}
    limits = {"keep_snapshots": 1, "min_snapshot_age_h": 0, "expire_after_h": 1}
    fields = {**target(cloud), "measure": measure, "limits": limits, **changes}
    (folder / "targets.yaml").write_text(yaml.safe_dump({"targets": [fields]}))


def sweeper(*, dry: bool = False, grace_min: int = 30) -> SweepLeftoversOperator:
    return SweepLeftoversOperator(task_id="sweep", is_dry_run=str(dry), grace_min=grace_min)


def airflow(state: str | None = "success") -> Any:
    """Return the context of a sweep in an Airflow where every run has this state, or is gone."""

    def count(dag_id: str, run_ids: list[str], states: list[str] | None = None) -> int:
        assert (dag_id, len(run_ids)) in (("build_preloaded_disk", 1), ("measure_ready_latency", 1))
        return int(state is not None and state in (states or [state]))

    return context(get_dr_count=count)


def sweep(*, dry: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = sweeper(dry=dry).execute(airflow())
    return found


def make_instance(cloud: Handle, run_id: str = "manual__1") -> dict[str, Any]:
    made: dict[str, Any] = perform(
        RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name="demo-nodes"),
        context(run_id=run_id),
    )
    return made


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


def test_what_expired_goes_and_what_is_not_ours_stays(cloud: Handle) -> None:
    seeded = standing(cloud)
    made = make_instance(cloud)
    perform(ImportKeyPairOperator(task_id="k", key_pair_name="ours", target=target(cloud)))
    pool_id = make_pool(cloud)
    assert sweep()["total"] == 0  # nothing has expired yet
    expire(cloud)
    assert sweep()["swept"] == {
        "node pool": [pool_id],
        "instance": [made["instance_id"]],
        "key pair": ["ours"],
    }
    assert standing(cloud) == seeded


def test_a_dry_run_says_it_all_and_deletes_nothing(cloud: Handle) -> None:
    made = make_instance(cloud)
    expire(cloud)
    told = sweep(dry=True)
    assert told["swept"] == {"instance": [made["instance_id"]]}
    assert cloud.cloud.instances[made["instance_id"]].status == "Running"


def test_an_expiry_that_cannot_be_read_is_kept_and_makes_it_red(cloud: Handle) -> None:
    made = make_instance(cloud)
    cloud.cloud.instances[made["instance_id"]].tags[EXPIRES_KEY] = "soon"
    with pytest.raises(SweepIncompleteError, match="'soon', which is no time"):
        sweep()
    assert cloud.cloud.instances[made["instance_id"]].status == "Running"


def test_a_resource_that_lost_our_tag_is_foreign(cloud: Handle) -> None:
    made = make_instance(cloud)
    expire(cloud)
    del cloud.cloud.instances[made["instance_id"]].tags[PRODUCT_KEY]
    assert sweep()["total"] == 0


def test_old_snapshots_go_but_for_the_last_good_and_those_in_use(cloud: Handle) -> None:
    disk = make_instance(cloud)["disk_id"]
    old, used, last = (make_snapshot(cloud, disk, f"run-{number}") for number in range(3))
    for each in (old, used, last):
        record(each)
    for minutes, each in enumerate((last, used, old)):
        snapshot = cloud.cloud.snapshots[each]
        snapshot.created = snapshot.created.replace(minute=0, second=0).replace(
            year=2025, minute=30 - minutes
        )
    pool = cloud.cloud.node_pools[make_pool(cloud)]
    pool.scaling_group["data_disks"][-1]["snapshot_id"] = used
    assert sweep()["swept"] == {"snapshot": [old]}
    assert set(cloud.cloud.snapshots) == {used, last}


def test_with_a_lost_history_the_sealed_snapshots_stay(cloud: Handle) -> None:
    disk = make_instance(cloud)["disk_id"]
    unproven, older, last = (make_snapshot(cloud, disk, f"run-{number}") for number in range(3))
    for days, each in enumerate((last, older, unproven)):
        cloud.cloud.snapshots[each].created = datetime(2020, 1, 30 - days, tzinfo=UTC)
    for each in (older, last):
        EcsHook().tag_snapshot(each, sealed_tags("sha256:0"))
    with pytest.raises(SweepIncompleteError, match=f"keep snapshot {unproven}.*right one"):
        sweep()
    assert set(cloud.cloud.snapshots) == {unproven, last}  # keep_snapshots is 1


def test_a_cluster_that_cannot_be_read_keeps_every_snapshot(cloud: Handle, tmp_path: Path) -> None:
    disk = make_instance(cloud)["disk_id"]
    made = make_snapshot(cloud, disk, "run-1")
    cloud.cloud.snapshots[made].created = datetime(2020, 1, 1, tzinfo=UTC)
    write_targets(tmp_path, cloud, cluster_id="c00000000000000000000000000000000")
    with pytest.raises(SweepIncompleteError, match="so no snapshot was swept"):
        sweep()
    assert made in cloud.cloud.snapshots


def test_one_refusal_does_not_keep_the_rest(cloud: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_instance(cloud), "ours"
    perform(ImportKeyPairOperator(task_id="k", key_pair_name=second, target=target(cloud)))
    expire(cloud)
    operator = sweeper()

    def refuse(instance_id: str) -> None:
        raise CloudError("OperationDenied", "locked", request_id="R-1")

    monkeypatch.setattr(operator.ecs, "delete_instance", refuse)
    with pytest.raises(SweepIncompleteError, match=f"{first['instance_id']}.*refused.*R-1"):
        operator.execute(airflow())
    assert second not in cloud.cloud.key_pairs


def test_a_build_discards_the_snapshot_that_it_did_not_record(cloud: Handle) -> None:
    disk = make_instance(cloud)["disk_id"]
    bad = make_snapshot(cloud, disk, "run-1")
    other = make_snapshot(cloud, disk, "run-2")
    discard = DiscardSnapshotsOperator(task_id="discard")
    assert discard.execute(context(run_id="run-1")) == [bad]
    EcsHook().tag_snapshot(other, sealed_tags("sha256:0"))
    assert discard.execute(context(run_id="run-2")) == []
    assert set(cloud.cloud.snapshots) == {other}


def test_the_nodes_of_a_pool_are_left_to_ack(cloud: Handle) -> None:
    pool_id = make_pool(cloud)
    scale = ScaleNodePoolOperator(
        task_id="scale",
        cluster_id=measured(cloud)["cluster_id"],
        node_pool_id=pool_id,
        desired_size=1,
    )
    perform(scale)
    expire(cloud)
    assert sweep()["swept"] == {"node pool": [pool_id]}


def test_nodes_that_cannot_be_read_do_not_end_the_sweep(
    cloud: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool_id = make_pool(cloud)
    made, node = make_instance(cloud), make_instance(cloud, run_id="run-2")
    cloud.cloud.instances[node["instance_id"]].tags[PURPOSE_KEY] = "measure"
    expire(cloud)
    operator = sweeper()

    def refuse(cluster_id: str, node_pool_id: str) -> None:
        raise CloudUnavailableError("ServiceUnavailable", "later", request_id="R-1")

    monkeypatch.setattr(operator.ack, "nodes", refuse)
    with pytest.raises(SweepIncompleteError, match=f"nodes of node pool {pool_id} cannot be read"):
        operator.execute(airflow())
    instances, _, pools = standing(cloud)
    assert pool_id not in pools
    assert made["instance_id"] not in instances
    assert node["instance_id"] in instances
    # Once they can be read, an instance that no pool has is for a person to look at.
    with pytest.raises(SweepIncompleteError, match=f"{node['instance_id']}.*delete it by hand"):
        sweep()
    assert node["instance_id"] in standing(cloud)[0]
