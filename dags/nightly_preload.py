"""
### Preload every target, every night

For each target in turn of its own: export the image list, build the preloaded disk, roll it out,
measure. A target that fails does not stop the others; the run is red if any part of it is.

A run ends red after 12 hours at the latest, so that a child that was paused cannot keep the next
nights from starting.

- **Run again**: clear the failed task. Its child run is adopted: one that still runs is waited
  for, a good one is kept, a failed one runs again. Nothing is ever started twice.
- **Left behind if it fails**: what the child runs leave, which is nothing that costs money but
  good snapshots and the node pools of the targets. A pool keeps its last good snapshot.
- **Owner**: node-platform
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, chain, dag, task_group

from ack_preload.operators.children import RunChildDagOperator
from ack_preload.operators.conventions import DEFAULT_ARGS, TAG, target_param
from ack_preload.operators.inputs import ListTargetsOperator
from ack_preload.operators.watch import WatchRunOperator

# Switched on by day it waits for the night. `False` does not: it takes a tick of the last 2.4 h.
NEVER_AT_ONCE = timedelta(seconds=1)
# A child that somebody pauses while it is waited for never ends, and with one run at a time
# there would be no further night. The longest good one, several cold builds, takes a few hours.
LONGEST_NIGHT = timedelta(hours=12)
CHILDREN = (
    "export_image_list",
    "build_preloaded_disk",
    "roll_out_node_pool",
    "measure_ready_latency",
)


@dag(
    schedule=CronTriggerTimetable("30 2 * * *", timezone="UTC", run_immediately=NEVER_AT_ONCE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=LONGEST_NIGHT,
    doc_md=__doc__,
    tags=[TAG, "nightly"],
    default_args=DEFAULT_ARGS,
    params={"target": target_param(empty_means="all targets of the file")},
)
def nightly_preload() -> None:
    @task_group
    def preload(target: str) -> None:
        chain(
            *[RunChildDagOperator(task_id=child, child=child, target=target) for child in CHILDREN]
        )

    targets = ListTargetsOperator(task_id="list_targets")
    chain(preload.expand(target=targets.output), WatchRunOperator(task_id="watch_run"))


nightly_preload()
