"""Wait for many snapshots at once.

For ``python -m local.chaos.waits`` alone. Some tasks make a snapshot, wait for it as the product's
own operators do, and tag it when it is there: two calls that change something, of which none may be
made twice. The others only wait, with the same trigger, from start to end in the triggerer: so
hundreds of waits do not take a thousand processes. Run again: at any time. Left behind: the
snapshots. Owner: ack-preload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, task
from airflow.triggers.base import StartTriggerArgs

from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.base import CloudOperator
from ack_preload.operators.retry_policy import RETRY_POLICY

if TYPE_CHECKING:
    from airflow.sdk import Context

CONN_ID = "chaos_waits"


class SnapshotOperator(CloudOperator):
    """Make a snapshot of a disk and tag it once it is accomplished."""

    template_fields: Sequence[str] = ("disk_id", *CloudOperator.template_fields)

    def __init__(self, *, disk_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.disk_id = disk_id

    def execute(self, context: Context) -> None:
        snapshot_id = EcsHook(self.conn_id, account=self.account).create_snapshot(
            self.disk_id, name=self.disk_id, token=self.client_token(context), tags={}
        )
        self.wait_for("snapshot_accomplished", {"snapshot_id": snapshot_id})

    def resume(self, context: Context, event: Mapping[str, Any]) -> str:
        self.read(event)
        hook = EcsHook(self.conn_id, account=self.account)
        hook.tag_snapshot(str(event["id"]), {"waited-for": context["run_id"][:60]})
        return str(event["id"])


class WatchOperator(BaseOperator):
    """Wait for a snapshot that is there, without a worker.

    :param number: which one of those that the run was given; the map index says it.
    """

    template_fields: Sequence[str] = ("subject",)
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls="local.chaos.ending.EndingTrigger",
        trigger_kwargs={
            "wait": "snapshot_accomplished",
            "subject": {"snapshot_id": "{{ dag_run.conf['snapshots'][ti.map_index] }}"},
            "conn_id": CONN_ID,
            "deadline": "2099-01-01T00:00:00+00:00",
        },
        next_method="execute",
    )

    def __init__(self, *, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number
        self.subject: dict[str, str] = {}

    def execute(self, context: Context) -> None:
        raise RuntimeError(f"wait {self.number} was given to a worker")


with DAG(
    "wait_for_many",
    doc_md=__doc__,
    schedule=None,
    max_active_tasks=1000,
    default_args={
        "owner": "ack-preload",
        "retries": 2,
        "retry_delay": timedelta(seconds=1),
        "retry_policy": RETRY_POLICY,
    },
    tags=["ack-preload", "chaos"],
):

    @task
    def name_disks(**context: Any) -> list[str]:
        disks: list[str] = context["dag_run"].conf["disks"]
        return disks

    @task
    def number_snapshots(**context: Any) -> list[int]:
        return list(range(len(context["dag_run"].conf["snapshots"])))

    SnapshotOperator.partial(task_id="make_snapshot", conn_id=CONN_ID).expand(disk_id=name_disks())
    WatchOperator.partial(task_id="watch_snapshot").expand(number=number_snapshots())
