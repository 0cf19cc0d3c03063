"""
### Build a preloaded disk

Turns an image lock into a snapshot of a disk that holds every image of it, by digest, and the
kubelet package: a temporary instance pulls them, the disk is proven and sealed, the instance is
stopped, and only then the snapshot is taken.

- **Run again**: trigger it, or clear any task. Clearing one does the whole build again, since
  the instance that held its work is gone.
- **Left behind if it fails**: nothing; instance, disk and key pair are deleted, and so is a
  snapshot that was not recorded as good. What a lost worker leaves releases itself and is swept.
- **Owner**: node-platform
"""

from __future__ import annotations

from airflow.sdk import Param, chain, dag

from ack_preload.operators import build_instance as machine
from ack_preload.operators import key_pair as key
from ack_preload.operators import preload_disk as disk
from ack_preload.operators.conventions import (
    DEFAULT_ARGS,
    SNAPSHOT,
    TAG,
    TEARDOWN,
    chain_param,
    target_param,
)
from ack_preload.operators.inputs import ReadInputsOperator
from ack_preload.operators.record import RecordSnapshotOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator, DiscardSnapshotsOperator
from ack_preload.operators.watch import WatchRunOperator

# What they make may not be listed at once, so teardowns look twice.
MAKERS = ["import_key_pair", "run_build_instance", "create_snapshot"]
LINEAGE = {
    "ack-preload/lock": "{{ ti.xcom_pull('read_inputs', key='lock_digest') }}",
    "ack-preload/cluster": "{{ ti.xcom_pull('read_inputs')['target']['cluster_id'] }}",
}


@dag(
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,  # it runs when asked; paused, it would only queue
    max_active_runs=4,
    doc_md=__doc__,
    tags=[TAG, "build"],
    default_args=DEFAULT_ARGS | {"makers": MAKERS},
    params={
        "target": target_param(),
        "lock_digest": Param("", type="string", description="Empty: the newest of the target."),
        "chain": chain_param(),
    },
)
def build_preloaded_disk() -> None:
    inputs = ReadInputsOperator(
        task_id="read_inputs", needs="lock", lock_digest="{{ params.lock_digest }}"
    )
    target, lock = inputs.output["target"], inputs.output["lock_digest"]
    name = inputs.output["resource"]
    versions = disk.ReadVersionsOperator(task_id="read_versions", target=target)
    pair = key.ImportKeyPairOperator(task_id="import_key_pair", key_pair_name=name, target=target)
    instance = machine.RunBuildInstanceOperator(
        task_id="run_build_instance", target=target, key_pair_name=pair.output
    )
    ids = instance.output
    there = {"address": ids["private_ip"], "instance_id": ids["instance_id"]}
    prepare = disk.PrepareDiskOperator(
        task_id="prepare_disk", disk_serial=ids["disk_serial"], **there
    )
    there["host_key"] = prepare.output["host_key"]
    runtime = disk.InstallRuntimeOperator(
        task_id="install_runtime", version=versions.output["runtime"], **there
    )
    pull = disk.PullImagesOperator(task_id="pull_images", lock_digest=lock, target=target, **there)
    kubernetes = versions.output["kubernetes"]
    package = disk.KubeletPackageOperator(
        task_id="add_kubelet_package", version=kubernetes, lock_digest=lock, **there
    )
    seal = disk.SealDiskOperator(task_id="seal_disk", lock_digest=lock, **there)
    stop = machine.StopInstanceOperator(task_id="stop_instance", instance_id=ids["instance_id"])
    snapshot = CreateSnapshotOperator(
        task_id="create_snapshot",
        disk_id=ids["disk_id"],
        snapshot_name=name,
        target=target,
        lineage=LINEAGE,
    )
    record = RecordSnapshotOperator(
        task_id="record_snapshot",
        target_name=inputs.output["name"],
        snapshot_id=snapshot.output,
        disk_id=ids["disk_id"],
        lock_digest=lock,
        instance_id=ids["instance_id"],
        versions=versions.output,
        seal=seal.output,
        outlets=[SNAPSHOT],
    )
    # Whatever lives on the instance is a set-up of its deletion: clearing one clears them all.
    work = [inputs, versions, pair, instance, prepare, runtime, pull, package, seal, stop]
    discard = DiscardSnapshotsOperator(task_id="discard_snapshot", **TEARDOWN)
    release = machine.DeleteInstanceOperator(task_id="delete_instance", **TEARDOWN)
    delete_key = key.DeleteKeyPairOperator(task_id="delete_key_pair", **TEARDOWN)
    discard.as_teardown(setups=[*work, snapshot], on_failure_fail_dagrun=True)
    for teardown in (release, delete_key):
        teardown.as_teardown(setups=work, on_failure_fail_dagrun=True)

    chain(pair, instance, prepare, runtime, [pull, package], seal, stop, snapshot)
    chain(snapshot, record, discard)
    chain(snapshot, release, delete_key)  # a key that an instance still uses cannot go
    chain([discard, release, delete_key], WatchRunOperator(task_id="watch_run"))


build_preloaded_disk()
