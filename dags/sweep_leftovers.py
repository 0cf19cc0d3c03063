"""
### Sweep what was left behind

Deletes what this installation made and that is past its expiry, or whose run has ended or was
deleted: node pools of measurements, instances, disks, key pairs. A running run's things are never
touched. The pool of a rollout that was never recorded goes when its run was deleted, and makes the
sweep red where it may serve. Of snapshots the last good ones of each target stay, and the young
ones, and every one that any node pool of any cluster of the region names, pools without nodes
included. Good is what the history recorded or a build tagged as sealed. Of a target that is in no
file they go after 30 days. Of instances only build instances go; nodes go with their pool. Nothing
without our tag is ever touched, and nothing of another installation; what expired of those is in
the result.

- **Run again**: any time; it looks anew each time. By hand it only says what it would do, unless
  `dry_run` is taken off; every hour it deletes.
- **Left behind if it fails**: what it could not read or delete is listed in the error and stays
  for the next run; the rest is swept. A cluster that cannot be read keeps all snapshots, since a
  pool of it may need them. After ten minutes the rest is left to the next run.
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
            True,
            type="boolean",
            description="Started by hand: say what would be deleted and delete nothing. The "
            "hourly runs always delete.",
        ),
        "grace_min": Param(
            30,
            type="integer",
            minimum=0,
            maximum=1440,
            description="What a run that ended or was deleted has left is spared for so many "
            "minutes from its creation on.",
        ),
    },
)
def sweep_leftovers() -> None:
    sweep = SweepLeftoversOperator(
        task_id="sweep",
        is_dry_run="{{ params.dry_run and dag_run.run_type != 'scheduled' }}",
        grace_min="{{ params.grace_min }}",
    )
    chain(sweep, WatchRunOperator(task_id="watch_run"))


sweep_leftovers()
