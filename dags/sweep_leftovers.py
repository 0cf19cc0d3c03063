"""
### Sweep what was left behind

Deletes what carries our tag and is past its expiry: node pools of measurements, instances, disks,
key pairs. Of snapshots the last good ones of each target stay, and the young ones, and every one
that any node pool names, pools without nodes included. Good is what the history recorded or a build
tagged as sealed. Of instances only build instances go; nodes go with their pool. Nothing without
our tag is ever touched.

- **Run again**: any time; it looks anew each time. With `dry_run` it only says what it would do.
- **Left behind if it fails**: what it could not delete is listed in the error and stays for the
  next run. A cluster that cannot be read keeps all snapshots, since a pool of it may need them;
  one that no target names any more keeps its own.
- **Owner**: node-platform
"""

from __future__ import annotations

from airflow.sdk import Param, chain, dag

from ack_preload.operators.conventions import DEFAULT_ARGS, TAG
from ack_preload.operators.sweep import SweepLeftoversOperator
from ack_preload.operators.watch import WatchRunOperator


@dag(
    schedule="7 * * * *",
    catchup=False,
    is_paused_upon_creation=False,  # a safety net that has to be switched on is none
    max_active_runs=1,
    doc_md=__doc__,
    tags=[TAG, "sweep"],
    default_args=DEFAULT_ARGS,
    params={
        "dry_run": Param(
            False, type="boolean", description="Say what would be deleted and delete nothing."
        ),
    },
)
def sweep_leftovers() -> None:
    sweep = SweepLeftoversOperator(task_id="sweep", is_dry_run="{{ params.dry_run }}")
    chain(sweep, WatchRunOperator(task_id="watch_run"))


sweep_leftovers()
