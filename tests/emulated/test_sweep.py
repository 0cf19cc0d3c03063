"""The sweep against the local cloud, with foreign resources beside ours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ack_preload.domain.tags import EXPIRES_KEY, PRODUCT_KEY, PURPOSE_KEY, sealed_tags
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.node_pool_size import ScaleNodePoolOperator
from ack_preload.operators.snapshot import DiscardSnapshotsOperator
from ack_preload.operators.sweep import SweepIncompleteError
from emulator.app import Handle
from tests.emulated.bad_line import BadLine, Fault
from tests.emulated.driving import connection, context, perform
from tests.emulated.measuring import make_pool, measured
from tests.emulated.sweeping import (
    expire,
    make_instance,
    make_key_pair,
    make_snapshot,
    record,
    standing,
    sweep,
    write_targets,
)

pytestmark = pytest.mark.usefixtures("sweep_world")


def test_what_expired_goes_and_what_is_not_ours_stays(cloud: Handle) -> None:
    seeded = standing(cloud)
    made = make_instance(cloud)
    make_key_pair(cloud)
    pool_id = make_pool(cloud)
    assert sweep("running")["total"] == 0  # nothing has expired yet
    expire(cloud)
    assert sweep()["swept"] == {
        "node pool": [pool_id],
        "instance": [made["instance_id"]],
        "key pair": ["ours"],
    }
    assert standing(cloud) == seeded


def test_a_worker_without_the_history_of_the_others_is_told(
    cloud: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ours left looks foreign to it; but a new Airflow on a clean account is well."""
    made = make_instance(cloud)
    alone = connection(cloud.facts, installation=None)
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", alone)
    assert sweep()["total"] == 0
    expire(cloud)
    with pytest.raises(SweepIncompleteError, match=r"knows of no installation.* one history"):
        sweep()
    assert made["instance_id"] in cloud.cloud.instances


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


def test_one_refusal_does_not_keep_the_rest(cloud: Handle, line: BadLine) -> None:
    first, second = make_instance(cloud)["instance_id"], make_key_pair(cloud)
    expire(cloud)
    line.faults["DeleteInstance"] = [Fault.REFUSED]
    with pytest.raises(SweepIncompleteError, match=f"{first}.*refused.*Forbidden.RAM.*LINE-1"):
        sweep()
    assert second not in cloud.cloud.key_pairs
    assert first in standing(cloud)[0]


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


def test_nodes_that_cannot_be_read_do_not_end_the_sweep(cloud: Handle, line: BadLine) -> None:
    pool_id = make_pool(cloud)
    made, node = make_instance(cloud), make_instance(cloud, run_id="run-2")
    cloud.cloud.instances[node["instance_id"]].tags[PURPOSE_KEY] = "measure"
    expire(cloud)
    line.faults["DescribeClusterNodes"] = [Fault.REFUSED]
    with pytest.raises(SweepIncompleteError, match=f"nodes of node pool {pool_id} cannot be read"):
        sweep()
    instances, _, pools = standing(cloud)
    assert pool_id not in pools
    assert made["instance_id"] not in instances
    assert node["instance_id"] in instances
    # Once they can be read, an instance that no pool has is for a person to look at.
    with pytest.raises(SweepIncompleteError, match=f"{node['instance_id']}.*delete it by hand"):
        sweep()
    assert node["instance_id"] in standing(cloud)[0]
