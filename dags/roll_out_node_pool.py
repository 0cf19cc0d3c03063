"""
### Roll a snapshot out to the node pool of a target

A canary pool of one node is made from the snapshot, and the node must prove that it holds every
image of the lock, by digest. Only then the target's own pool is made, or changed, to use it. A
pool that exists keeps its nodes; those to come get the new disk.

- **Run again**: trigger it, or clear the failed task with what follows: the proof is made again,
  on a new canary. A pool that is as wanted is left as it is.
- **At the same time**: runs of different targets do not meet. Of two of one pool the second waits,
  with its proof made, until the first has ended.
- **Left behind if it fails**: the target's pool on its previous disk, or no pool when this run
  made it (the way back; also when the run is marked failed). A pool that another run has had
  since stays as it is, and so does one whose rollout the run recorded before, or whose previous
  snapshot is gone: then the way back is red and says so. The canary is deleted, good or bad.
- **Owner**: node-platform
"""

from __future__ import annotations

from airflow.sdk import Param, chain, dag

from ack_preload.operators.conventions import (
    DEFAULT_ARGS,
    ROLLOUT,
    TAG,
    TEARDOWN,
    chain_param,
    target_param,
)
from ack_preload.operators.inputs import ReadInputsOperator
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.node_pool_end import DeleteNodePoolOperator, RestoreNodePoolOperator
from ack_preload.operators.node_pool_size import ScaleNodePoolOperator
from ack_preload.operators.prove_images import ProveImagesOperator
from ack_preload.operators.rollout import AwaitNewNodesOperator, RecordRolloutOperator
from ack_preload.operators.watch import WatchRunOperator

TARGET = "ti.xcom_pull('read_inputs', key='target')"
CLUSTER = "{{ (" + TARGET + " or {}).get('cluster_id', '') }}"  # the way back has to render always
CANARY = "ack-preload-canary-{{ ti.xcom_pull('read_inputs', key='run') }}"


@dag(
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,  # it runs when asked; paused, it would only queue
    max_active_runs=8,  # of different pools: two of one pool take turns, at promote_snapshot
    doc_md=__doc__,
    tags=[TAG, "rollout"],
    default_args=DEFAULT_ARGS,
    params={
        "target": target_param(),
        "snapshot_id": Param("", type="string", description="Empty: the newest of the target."),
        "chain": chain_param(),
    },
)
def roll_out_node_pool() -> None:
    inputs = ReadInputsOperator(
        task_id="read_inputs", needs="snapshot", snapshot_id="{{ params.snapshot_id }}"
    )
    snapshot_id, lock_digest = inputs.output["snapshot_id"], inputs.output["lock_digest"]
    canary = ApplyNodePoolOperator(
        task_id="create_canary_pool",
        target=inputs.output["temporary"],
        pool_name=CANARY,
        snapshot_id=snapshot_id,
        purpose="canary",
    )
    node = ScaleNodePoolOperator(
        task_id="add_canary_node",
        cluster_id=CLUSTER,
        node_pool_id=canary.output["node_pool_id"],
        desired_size=1,
    )
    proof = ProveImagesOperator(
        task_id="prove_images", nodes=node.output["nodes"], lock_digest=lock_digest
    )
    pool = ApplyNodePoolOperator(
        task_id="promote_snapshot",
        target=inputs.output["target"],
        pool_name="{{ " + TARGET + "['pool']['name'] }}",
        snapshot_id=snapshot_id,
        desired_size="{{ " + TARGET + "['pool']['desired_size'] }}",
    )
    ready = AwaitNewNodesOperator(
        task_id="await_new_nodes",
        cluster_id=CLUSTER,
        node_pool_id=pool.output["node_pool_id"],
        created=pool.output["created"],
    )
    record = RecordRolloutOperator(
        task_id="record_rollout",
        target_name=inputs.output["name"],
        snapshot_id=snapshot_id,
        node_pool_id=pool.output["node_pool_id"],
        previous_snapshot_id=pool.output["previous_snapshot_id"],
        lock_digest=lock_digest,
        images_verified=proof.output["images_verified"],
        outlets=[ROLLOUT],
    )
    # A run that was good has its rollout recorded, and nothing to undo. All that the record rests
    # on is a setup: clearing a later task makes it anew, never a pool with another's proof.
    way_back = RestoreNodePoolOperator(
        task_id="go_way_back", cluster_id=CLUSTER, makers=["promote_snapshot"], **TEARDOWN
    ).as_teardown(setups=[inputs, canary, node, proof, pool], on_failure_fail_dagrun=True)
    delete_canary = DeleteNodePoolOperator(
        task_id="delete_canary_pool",
        cluster_id=CLUSTER,
        pool_name=CANARY,
        makers=["create_canary_pool"],
        **TEARDOWN,
    ).as_teardown(setups=[inputs, canary, node], on_failure_fail_dagrun=True)

    chain(canary, node, proof, pool, ready, record, way_back)
    chain(proof, delete_canary)
    chain([way_back, delete_canary], WatchRunOperator(task_id="watch_run"))


roll_out_node_pool()
