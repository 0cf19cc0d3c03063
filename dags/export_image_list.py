"""
### Export the image list of live nodes

Reads `crictl images --no-trunc` on the nodes of the target's source pool, adds the target's own
workload images, and keeps both the list in the procedure's format and an image lock by digest.

- **Run again**: any time; it only reads. A second export of the same images is the same lock.
- **Left behind if it fails**: nothing; no resource is made.
- **Owner**: node-platform
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from ack_preload.operators.conventions import (
    DEFAULT_ARGS,
    IMAGE_LOCK,
    TAG,
    chain_param,
    target_param,
)
from ack_preload.operators.image_list import ExportImageListOperator
from ack_preload.operators.inputs import ReadInputsOperator
from ack_preload.operators.watch import WatchRunOperator


@dag(
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,  # it runs when asked; paused, it would only queue
    max_active_runs=4,
    doc_md=__doc__,
    tags=[TAG, "build"],
    default_args=DEFAULT_ARGS,
    params={"target": target_param(), "chain": chain_param()},
)
def export_image_list() -> None:
    inputs = ReadInputsOperator(task_id="read_inputs")
    export = ExportImageListOperator(
        task_id="export_image_list", target=inputs.output["target"], outlets=[IMAGE_LOCK]
    )
    chain(inputs, export, WatchRunOperator(task_id="watch_run"))


export_image_list()
