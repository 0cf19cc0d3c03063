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

from ack_preload.operators import preload_disk as disk
from ack_preload.operators.build_instance import (
    DeleteInstanceOperator,
    RunBuildInstanceOperator,
    StopInstanceOperator,
)
from ack_preload.operators.conventions import (
    DEFAULT_ARGS,
    SNAPSHOT,
    TAG,
    TEARDOWN,
    chain_param,
    target_param,
)
from ack_preload.operators.inputs import ReadInputsOperator
from ack_preload.operators.key_pair import DeleteKeyPairOperator, ImportKeyPairOperator
from ack_preload.operators.record import RecordSnapshotOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator, DiscardSnapshotsOperator
from ack_preload.operators.watch import WatchRunOperator


@dag(
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,  # it runs when asked; paused, it would only queue
    max_active_runs=4,
    doc_md=__doc__,
    tags=[TAG, "build"],
    default_args=DEFAULT_ARGS,
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
    key_pair = ImportKeyPairOperator(task_id="import_key_pair", key_pair_name=name, target=target)
    instance = RunBuildInstanceOperator(
        task_id="run_build_instance", target=target, key_pair_name=key_pair.output
    )
    instance_id, disk_id = instance.output["instance_id"], instance.output["disk_id"]
    prepare = disk.PrepareDiskOperator(
        task_id="prepare_disk",
        address=instance.output["private_ip"],
        instance_id=instance_id,
        disk_serial=instance.output["disk_serial"],
    )
    machine = {
        "address": instance.output["private_ip"],
        "instance_id": instance_id,
        "host_key": prepare.output["host_key"],
    }
    runtime = disk.InstallRuntimeOperator(
        task_id="install_runtime", version=versions.output["runtime"], **machine
    )
    pull = disk.PullImagesOperator(
        task_id="pull_images", lock_digest=lock, target=target, **machine
    )
    package = disk.KubeletPackageOperator(
        task_id="add_kubelet_package",
        version=versions.output["kubernetes"],
        lock_digest=lock,
        **machine,
    )
    seal = disk.SealDiskOperator(task_id="seal_disk", lock_digest=lock, **machine)
    stop = StopInstanceOperator(
        task_id="stop_instance", instance_id=instance_id, makers=[instance.task_id]
    )
    snapshot = CreateSnapshotOperator(
        task_id="create_snapshot",
        disk_id=disk_id,
        snapshot_name=name,
        target=target,
        lineage={
            "ack-preload/lock": "{{ ti.xcom_pull('read_inputs', key='lock_digest') }}",
            "ack-preload/cluster": "{{ ti.xcom_pull('read_inputs')['target']['cluster_id'] }}",
        },
    )
    record = RecordSnapshotOperator(
        task_id="record_snapshot",
        target_name=inputs.output["name"],
        snapshot_id=snapshot.output,
        disk_id=disk_id,
        lock_digest=lock,
        instance_id=instance_id,
        versions=versions.output,
        seal=seal.output,
        outlets=[SNAPSHOT],
    )
    # Whatever lives on the instance is a set-up of its deletion: clearing one clears them all.
    work = [inputs, versions, key_pair, instance, prepare, runtime, pull, package, seal, stop]
    discard = DiscardSnapshotsOperator(
        task_id="discard_snapshot", makers=[snapshot.task_id], **TEARDOWN
    )
    release = DeleteInstanceOperator(
        task_id="delete_instance", makers=[instance.task_id], **TEARDOWN
    )
    delete_key = DeleteKeyPairOperator(
        task_id="delete_key_pair", makers=[key_pair.task_id], **TEARDOWN
    )
    discard.as_teardown(setups=[*work, snapshot], on_failure_fail_dagrun=True)
    for teardown in (release, delete_key):
        teardown.as_teardown(setups=work, on_failure_fail_dagrun=True)

    chain(key_pair, instance, prepare, runtime, [pull, package], seal, stop, snapshot)
    chain(snapshot, record, discard)
    chain(snapshot, release, delete_key)  # a key that an instance still uses cannot go
    chain([discard, release, delete_key], WatchRunOperator(task_id="watch_run"))


build_preloaded_disk()
