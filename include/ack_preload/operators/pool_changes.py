"""Changes of a node pool, which ACK takes one at a time: what all operators of node pools share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from ack_preload.domain.errors import CloudUnavailableError
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.calls import POOL_BUSY
from ack_preload.hooks.history import open_store, run_of
from ack_preload.operators.base import CloudOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ack_preload.domain.node_pools import NodePoolView

MAX_RESTARTS = 20
"""A pool that is settled and still refuses is busy with something that nobody can see."""


class AckOperator(CloudOperator):
    restarts = 0  # how often this try found its pool busy

    @cached_property
    def hook(self) -> AckHook:
        return AckHook(self.conn_id, account=self.account)

    def await_task(self, task_id: str, subject: Mapping[str, Any], method_name: str) -> None:
        """Defer until ACK's task is done; return at once when there is none to wait for."""
        if task_id:
            self.wait_for("ack_task_succeeded", {"task_id": task_id, **subject}, method_name)

    def change(
        self,
        cluster_id: str,
        node_pool_id: str,
        send: Callable[[], str],
        again: str = "begin_again",
    ) -> str:
        """Send a change of a node pool and return its task id.

        While another change is going on ACK refuses: then defer until the pool is settled, and
        go on with the method ``again``, which has to find what was done before. It calls
        :meth:`settled` first.
        """
        try:
            return send()
        except CloudUnavailableError as exc:
            if exc.code != POOL_BUSY or self.restarts >= MAX_RESTARTS:
                raise
            self.log.info("Node pool %s is busy: %s", node_pool_id, exc)
            return self.settle_first(cluster_id, node_pool_id, again)

    def settle_first(
        self, cluster_id: str, node_pool_id: str, again: str = "begin_again"
    ) -> NoReturn:
        """Defer until no change of the pool is going on, or it is gone."""
        subject = {"cluster_id": cluster_id, "node_pool_id": node_pool_id}
        self.wait_for("node_pool_settled", {**subject, "restarts": self.restarts + 1}, again)

    def settled(self, event: Mapping[str, Any]) -> None:
        """Take note that a pool was waited for: this has an end, see ``MAX_RESTARTS``."""
        self.read(event)
        self.restarts = event["subject"]["restarts"]

    def begin_again(self, context: Context, event: Mapping[str, Any]) -> Any:
        self.settled(event)
        return self.execute(context)

    def is_recorded(self, context: Context, pool: NodePoolView) -> bool:
        """Tell whether this run has recorded what the pool has now as a good rollout."""
        recorded = open_store().rollout_for_run(run_of(context))
        return recorded is not None and (recorded.node_pool_id, recorded.snapshot_id) == (
            pool.node_pool_id,
            pool.snapshot_id or "",
        )

    def await_listed(self, subject: Mapping[str, Any], method_name: str) -> NoReturn:
        """Defer until the cloud lists a node pool of a name, or would list it if it were there.

        :param subject: ``cluster_id``, ``pool_name``, and what ``method_name`` has to know.
        """
        within = timedelta(seconds=self.account.visible_within_s)
        self.wait_for("node_pool_listed", subject, method_name, within)


def pool_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the node pool that a wait was about."""
    return {key: event["subject"][key] for key in ("cluster_id", "node_pool_id")}
