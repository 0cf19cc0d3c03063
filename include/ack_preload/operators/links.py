"""Links from a task to what it made, in the ECS and ACK consoles.

Airflow's API server asks for them, so they read the task's XCom from the metadata database, as
Airflow's own ``XComOperatorLink`` does. The addresses are those that the consoles show in the
browser; they are documented nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperatorLink

from ack_preload.domain.errors import PreloadError
from ack_preload.hooks.account import DEFAULT_CONN_ID, Account
from ack_preload.operators.build_instance import RunBuildInstanceOperator
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.record import RecordSnapshotOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

ECS = "https://ecs.console.aliyun.com"
ACK = "https://cs.console.aliyun.com"


class ConsoleLink(BaseOperatorLink):
    """A page of a console for the resource whose id the task returned under ``key``."""

    operators: ClassVar[list[type[BaseOperator]]]
    key: ClassVar[str]
    page: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address; empty, which greys the link out, before the task is done."""
        returned = _returned(ti_key)
        values = returned if isinstance(returned, Mapping) else {self.key: returned}
        if not values.get(self.key):
            return ""
        region = _region(getattr(operator, "conn_id", None) or DEFAULT_CONN_ID)
        return self.page.format_map({"region": region, **values})


class InstanceLink(ConsoleLink):
    name = "Instance in the ECS console"
    operators: ClassVar = [RunBuildInstanceOperator]
    key = "instance_id"
    page = ECS + "/server/{instance_id}/detail?regionId={region}"


class DiskLink(ConsoleLink):
    name = "Data disk in the ECS console"
    operators: ClassVar = [RunBuildInstanceOperator]
    key = "disk_id"
    page = ECS + "/disk/{disk_id}/detail?regionId={region}"


class SnapshotLink(ConsoleLink):
    name = "Snapshot in the ECS console"
    operators: ClassVar = [CreateSnapshotOperator, RecordSnapshotOperator]
    key = "snapshot_id"
    page = ECS + "/#/snapshot/region/{region}?snapshotIds={snapshot_id}"


class NodePoolLink(ConsoleLink):
    name = "Node pool in the ACK console"
    operators: ClassVar = [ApplyNodePoolOperator]
    key = "node_pool_id"
    page = ACK + "/#/k8s/cluster/{cluster_id}/v2/nodepool/{node_pool_id}/detail"


CONSOLE_LINKS = (InstanceLink(), DiskLink(), SnapshotLink(), NodePoolLink())


def _returned(ti_key: TaskInstanceKey) -> Any:
    """Return the task's return value, or ``None`` when there is none yet."""
    # Not for workers, which import this module too and have no database.
    from airflow.models.xcom import XComModel  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    with create_session() as session:
        query = XComModel.get_many(
            key="return_value",
            run_id=ti_key.run_id,
            dag_ids=ti_key.dag_id,
            task_ids=ti_key.task_id,
            map_indexes=ti_key.map_index,
        )
        row = session.scalars(query).first()
        return None if row is None else XComModel.deserialize_value(row)


def _region(conn_id: str) -> str:
    """Return the region of a connection; empty, so that the console asks, when unreadable."""
    try:
        return Account.get(conn_id).region
    except PreloadError:
        return ""
