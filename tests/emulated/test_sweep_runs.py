"""What the sweep makes of runs, of other installations, of other clusters, and of gaps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ack_preload.domain.tags import CLUSTER_KEY, EXPIRES_KEY, INSTALLATION_KEY, PREVIOUS_KEY
from ack_preload.hooks.calls import BUDGET_S
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.sweep import SweepIncompleteError
from ack_preload.targets.load import PATH_VARIABLE
from emulator.app import Handle
from tests.emulated.bad_line import BadLine, Fault
from tests.emulated.driving import context, perform, target
from tests.emulated.measuring import make_pool
from tests.emulated.node_pools import apply
from tests.emulated.node_pools import record as record_rollout
from tests.emulated.sweeping import (
    LONG_AGO,
    airflow,
    expire,
    make_instance,
    make_key_pair,
    make_snapshot,
    record,
    standing,
    sweep,
    sweeper,
)

pytestmark = pytest.mark.usefixtures("sweep_world")

OTHER_CLUSTER = "c11111111111111111111111111111111"
MONTHS_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("state", ["success", "failed", None], ids=str)
def test_what_a_run_left_goes_once_it_has_ended_or_was_deleted(
    cloud: Handle, state: str | None
) -> None:
    seeded = standing(cloud)
    made = make_instance(cloud)["instance_id"]
    key_pair, pool_id = make_key_pair(cloud), make_pool(cloud)
    for unfinished in ("queued", "running"):
        assert sweep(unfinished, grace_min=0)["total"] == 0
    assert sweep(state, grace_min=30)["total"] == 0  # a person may clear it, and clocks differ
    assert sweep(state, grace_min=0)["swept"] == {
        "node pool": [pool_id],
        "instance": [made],
        "key pair": [key_pair],
    }
    assert standing(cloud) == seeded


def test_the_snapshot_of_a_build_that_ended_unproven_goes_and_a_good_one_stays(
    cloud: Handle,
) -> None:
    disk = make_instance(cloud)["disk_id"]
    good, bad = (make_snapshot(cloud, disk, f"run-{number}") for number in (1, 2))
    record(good)
    assert bad not in sweep("running", grace_min=0)["swept"].get("snapshot", [])
    assert sweep(None, grace_min=0)["swept"]["snapshot"] == [bad]
    assert good in cloud.cloud.snapshots


def test_a_run_that_is_cleared_while_the_sweep_looks_keeps_its_things(cloud: Handle) -> None:
    made = make_instance(cloud)["instance_id"]
    asked: list[str] = []

    def cleared_meanwhile(dag_id: str, run_ids: list[str], states: Any = None) -> int:
        asked.append(dag_id)
        return int(states is None or len(asked) > 2)

    found = sweeper(grace_min=0).execute(context(get_dr_count=cleared_meanwhile))
    assert found["total"] == 0
    assert made in standing(cloud)[0]


def test_what_another_installation_left_is_told_and_stays(cloud: Handle) -> None:
    made = make_instance(cloud)["instance_id"]
    key_pair, pool_id = make_key_pair(cloud), make_pool(cloud)
    old = make_snapshot(cloud, make_instance(cloud, "run-2")["disk_id"], "run-2")
    state = cloud.cloud
    pool = state.node_pools[pool_id]
    theirs = (state.instances[made], state.key_pairs[key_pair], state.snapshots[old])
    for each in theirs:
        each.tags |= {INSTALLATION_KEY: "there", EXPIRES_KEY: LONG_AGO}
    tags = {**pool.tags(), INSTALLATION_KEY: "there", EXPIRES_KEY: LONG_AGO}
    pool.scaling_group["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
    before = standing(cloud)
    found = sweep(None, grace_min=0)
    assert len(found["foreign"]) == 4
    for name in (made, key_pair, pool_id, old):
        (told,) = (line for line in found["foreign"] if name in line)
        assert f"of the installation there, expired {LONG_AGO}" in told
    assert (
        (before[0] - standing(cloud)[0], *standing(cloud)[1:])
        == (
            {*found["swept"]["instance"]},  # the one of run-2, which is ours
            *before[1:],
        )
    )
    assert old in state.snapshots


def test_a_sweep_whose_time_is_over_leaves_the_rest_to_the_next(cloud: Handle) -> None:
    make_instance(cloud)
    expire(cloud)
    late = sweeper()

    def slow(dag_id: str, run_ids: Any = None, states: Any = None) -> int:
        late.within_s = -1.0  # all is read by then, and nothing is deleted
        return 0

    with pytest.raises(SweepIncompleteError, match="not yet, as the time of this sweep is over"):
        late.execute(context(get_dr_count=slow))
    with pytest.raises(SweepIncompleteError, match="the list of instances cannot be read: the tim"):
        late.execute(airflow())
    assert sweep()["total"] == 1


def test_a_sweep_repeats_no_call_for_long() -> None:
    assert max(sweeper().ecs.budget_s, sweeper().ack.budget_s) < BUDGET_S / 6


def second_cluster(cloud: Handle) -> str:
    first = cloud.cloud.clusters[cloud.facts["cluster_id"]]
    cloud.cloud.clusters[OTHER_CLUSTER] = replace(first, cluster_id=OTHER_CLUSTER, name="other")
    return OTHER_CLUSTER


def old_snapshots(cloud: Handle, count: int) -> list[str]:
    """Make good snapshots that retention would let go but for the newest, the last of them."""
    disk = make_instance(cloud)["disk_id"]
    made = [make_snapshot(cloud, disk, f"run-{number}") for number in range(count)]
    for number, each in enumerate(made):
        record(each)
        cloud.cloud.snapshots[each].created = MONTHS_AGO + timedelta(days=number)
    return made


def test_pools_of_clusters_that_no_target_names_keep_their_snapshots(cloud: Handle) -> None:
    free, of_disk, of_way_back, last = old_snapshots(cloud, 4)
    operator = ApplyNodePoolOperator(
        task_id="pool",
        target=target(cloud),
        pool_name="of-somebody",
        snapshot_id=of_disk,
        desired_size=0,
    )
    pool = cloud.cloud.node_pools[perform(operator)["node_pool_id"]]
    pool.cluster_id = second_cluster(cloud)
    pool.scaling_group["tags"].append({"key": PREVIOUS_KEY, "value": of_way_back})
    assert pool.desired_size == 0
    assert sweep("running")["swept"] == {"snapshot": [free]}
    assert set(cloud.cloud.snapshots) == {of_disk, of_way_back, last}


def test_a_snapshot_stays_while_a_disk_made_from_it_is_there(cloud: Handle) -> None:
    old, _ = old_snapshots(cloud, 2)
    disk = next(iter(cloud.cloud.disks.values()))
    disk.source_snapshot_id = old
    assert sweep("running")["total"] == 0
    disk.source_snapshot_id = ""
    assert sweep("running")["swept"] == {"snapshot": [old]}


def test_what_a_run_may_have_picked_stays_while_it_runs(cloud: Handle) -> None:
    old, _ = old_snapshots(cloud, 2)
    for dag_id in ("roll_out_node_pool", "measure_ready_latency"):
        assert sweeper().execute(airflow(active=dag_id))["total"] == 0
    assert sweep()["swept"] == {"snapshot": [old]}


def test_a_snapshot_that_a_pool_names_since_the_sweep_began_stays(cloud: Handle) -> None:
    old, _ = old_snapshots(cloud, 2)
    pool = cloud.cloud.node_pools[make_pool(cloud)]

    def picked_meanwhile(dag_id: str, run_ids: Any = None, states: Any = None) -> int:
        if run_ids is None:  # a run was over before the sweep asked for it
            pool.scaling_group["data_disks"][-1]["snapshot_id"] = old
        return 1 if run_ids and states is None else 0

    assert (
        sweeper().execute(context(get_dr_count=picked_meanwhile))["swept"].get("snapshot") is None
    )
    assert old in cloud.cloud.snapshots


def test_what_expired_is_spared_when_its_run_is_cleared_meanwhile(cloud: Handle) -> None:
    made = make_instance(cloud)["instance_id"]
    expire(cloud)
    asked: list[str] = []

    def cleared_meanwhile(dag_id: str, run_ids: list[str], states: Any = None) -> int:
        asked.append(dag_id)
        return int(states is None or len(asked) > 2)

    assert sweeper().execute(context(get_dr_count=cleared_meanwhile))["total"] == 0
    assert made in standing(cloud)[0]


def test_the_pool_of_a_rollout_whose_run_was_deleted_goes(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    record(snapshots[0])
    made = [
        perform(apply(cloud, snapshots[0], pool_name=name), context(run_id=name))
        for name in ("left", "serves")
    ]
    left, serves = (each["node_pool_id"] for each in made)
    record_rollout(made[1], snapshots[0], context(run_id="serves"))
    cloud.cloud.node_pools[left].created = MONTHS_AGO
    with pytest.raises(SweepIncompleteError, match=rf"keep node pool {left} .*roll_out_node_pool"):
        sweep("failed", grace_min=0)
    assert sweep("running", grace_min=0)["total"] == 0
    assert sweep(None, grace_min=0)["swept"]["node pool"] == [left]
    assert serves in standing(cloud)[2]


def test_a_cluster_that_is_gone_needs_no_snapshot_any_more(cloud: Handle, line: BadLine) -> None:
    old, last = old_snapshots(cloud, 2)
    cloud.cloud.snapshots[last].tags[CLUSTER_KEY] = OTHER_CLUSTER
    line.faults["DescribeClusterNodePools"] = [Fault.PASSED, Fault.REFUSED]
    with pytest.raises(SweepIncompleteError, match=f"cluster {OTHER_CLUSTER} cannot be read, so"):
        sweep("running")
    assert sweep("running")["swept"] == {"snapshot": [old]}


def test_without_the_file_of_targets_all_but_snapshots_is_swept(
    cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, last = old_snapshots(cloud, 2)
    made = make_instance(cloud, "run-2")["instance_id"]
    expire(cloud)
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "nowhere.yaml"))
    with pytest.raises(SweepIncompleteError, match=r"file of targets cannot be read, so no snap"):
        sweep()
    assert made not in standing(cloud)[0]
    assert {old, last} <= set(cloud.cloud.snapshots)


def test_each_list_that_fails_is_told_and_the_rest_is_swept(
    cloud: Handle, line: BadLine, capsys: pytest.CaptureFixture[str]
) -> None:
    old, _ = old_snapshots(cloud, 2)
    instance, key_pair, pool_id = make_instance(cloud)["instance_id"], make_key_pair(cloud), ""
    pool_id = make_pool(cloud)
    expire(cloud)
    all_of_it = {old, instance, key_pair, pool_id}
    gaps = {
        "DescribeClustersV1": {old},
        "DescribeClusterNodePools": {old, pool_id},
        "DescribeClusterNodes": set(),
        "DescribeInstances": {instance},
        "DescribeDisks": set(),
        "DescribeKeyPairs": {key_pair},
        "DescribeSnapshots": {old},
    }
    for action, left_out in gaps.items():
        line.faults[action] = [Fault.REFUSED]
        capsys.readouterr()
        with pytest.raises(SweepIncompleteError, match=r"cannot be read.*LINE-1"):
            sweeper(dry=True).execute(airflow())
        told = capsys.readouterr().out
        found = {each for each in all_of_it if f" {each} (" in told}
        assert found == all_of_it - left_out, action
    assert sweep(dry=True)["total"] >= len(all_of_it)
