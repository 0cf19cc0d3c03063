"""
### Measure created -> Ready, with and without the preloaded disk

Two node pools of the same spec, one from the snapshot, one with a blank disk. In turn, A, B, A,
B, each makes one node; its way to Ready is timed, a workload Pod is started on it, and both are
removed again. The comparison names its ends, clocks and n, and counts nodes that never got Ready.

- **Run again**: trigger it, or clear the whole run. A cleared sample starts with an empty pool.
  To add nothing but a sample that failed, clear that sample and everything after it.
- **Left behind if it fails**: nothing; both pools and their nodes are deleted, and what a lost
  worker leaves expires and is swept. Samples that were taken stay in the history.
- **Owner**: node-platform
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, chain, dag

from ack_preload.operators.compare import CompareOperator
from ack_preload.operators.conventions import (
    COMPARISON,
    DEFAULT_ARGS,
    TAG,
    TEARDOWN,
    chain_param,
    target_param,
)
from ack_preload.operators.inputs import ReadInputsOperator
from ack_preload.operators.measure import (
    MeasureSampleOperator,
    PlanSamplesOperator,
)
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.node_pool_end import DeleteNodePoolOperator
from ack_preload.operators.watch import WatchRunOperator

POOL = "ack-preload-{}-{{{{ ti.xcom_pull('read_inputs', key='run') }}}}"
IMAGE_TYPE = "{{ ti.xcom_pull('read_inputs')['target']['measure']['baseline_image_type'] or '' }}"


@dag(
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,  # it runs when asked; paused, it would only queue
    max_active_runs=1,  # whatever the targets: two nodes at a time would share one registry
    doc_md=__doc__,
    tags=[TAG, "measure"],
    default_args=DEFAULT_ARGS,
    params={
        "target": target_param(),
        "snapshot_id": Param("", type="string", description="Empty: the newest of the target."),
        "samples": Param(
            0, type="integer", minimum=0, maximum=20, description="Nodes an arm. 0: as the target."
        ),
        "chain": chain_param(),
    },
)
def measure_ready_latency() -> None:
    inputs = ReadInputsOperator(
        task_id="read_inputs", needs="snapshot", snapshot_id="{{ params.snapshot_id }}"
    )
    target, snapshot_id = inputs.output["temporary"], inputs.output["snapshot_id"]
    baseline_pool = ApplyNodePoolOperator(
        task_id="create_baseline_pool",
        target=target,
        pool_name=POOL.format("baseline"),
        snapshot_id="",
        image_type=IMAGE_TYPE,
        purpose="measure",
    )
    preloaded_pool = ApplyNodePoolOperator(
        task_id="create_preloaded_pool",
        target=target,
        pool_name=POOL.format("preloaded"),
        snapshot_id=snapshot_id,
        purpose="measure",
    )
    plan = PlanSamplesOperator(
        task_id="plan_samples",
        target=target,
        samples="{{ params.samples }}",
        baseline_pool=baseline_pool.output["node_pool_id"],
        preloaded_pool=preloaded_pool.output["node_pool_id"],
    )
    samples = MeasureSampleOperator.partial(
        task_id="measure_sample",
        target=target,
        max_active_tis_per_dagrun=1,  # one node at a time, in the order of the plan
        retry_delay=timedelta(),  # else the next sample starts, and both are on the network
        map_index_template="{{ task.sample['arm'] }} {{ task.sample['number'] }}",
    ).expand(sample=plan.output)
    comparison = CompareOperator(
        task_id="compare", target=target, snapshot_id=snapshot_id, outlets=[COMPARISON]
    )
    delete_pools = DeleteNodePoolOperator(
        task_id="delete_pools",
        cluster_id="{{ ti.xcom_pull('read_inputs')['target']['cluster_id'] }}",
        makers=["create_baseline_pool", "create_preloaded_pool"],
        **TEARDOWN,
    ).as_teardown(setups=[inputs, baseline_pool, preloaded_pool], on_failure_fail_dagrun=True)

    chain([baseline_pool, preloaded_pool], plan, samples, [comparison, delete_pools])
    chain([comparison, delete_pools], WatchRunOperator(task_id="watch_run"))


measure_ready_latency()
