"""Node pools: scaled to a number of nodes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ack_preload.domain.errors import InvalidInputError, ResourceFailedError
from ack_preload.operators.base import CloudOperator
from ack_preload.operators.pool_changes import MAX_RESTARTS, AckOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ScaleNodePoolOperator(AckOperator):
    """Ask for ``desired_size`` nodes and return them once exactly so many are Ready.

    A node that ACK gave up, in an earlier try, is removed first: it would be counted, and keep
    every further try from its end.

    Returns ``nodes``: ``instance_id``, ``node_name``, ``private_ip``, ``creation_time`` (ISO
    8601 with its offset) of each; none for a size of 0, once all are gone.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "node_pool_id",
        "desired_size",
        *CloudOperator.template_fields,
    )

    def __init__(
        self, *, cluster_id: str, node_pool_id: str, desired_size: int | str, **kwargs: Any
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.cluster_id = cluster_id
        self.node_pool_id = node_pool_id
        self.desired_size = desired_size

    def execute(self, context: Context) -> dict[str, Any]:
        count, pool = size(self.desired_size), (self.cluster_id, self.node_pool_id)
        lost = [node for node in self.hook.nodes(*pool) if node.error]
        if lost:
            self._remove_first([node.instance_id for node in lost])
        task_id = self.change(*pool, lambda: self.hook.set_desired_size(*pool, count))
        self.log.info("Node pool %s asked for %s nodes", self.node_pool_id, count)
        subject = {**self._pool(), "count": count}
        self.await_task(task_id, subject, "settle")
        self._await_nodes(subject)

    def _remove_first(self, instance_ids: Sequence[str]) -> None:
        """Remove nodes and begin again; return when there was nothing to remove after all.

        :raises ResourceFailedError: for nodes that stay listed however often they were removed.
        """
        if self.restarts >= MAX_RESTARTS:
            raise ResourceFailedError(
                f"nodes of node pool {self.node_pool_id} that ACK gave up stay although it removes "
                f"them: {', '.join(instance_ids)}; take off their deletion protection, or delete "
                "the instances, then clear the task"
            )
        remove = functools.partial(
            self.hook.remove_nodes, self.cluster_id, self.node_pool_id, instance_ids
        )
        task_id = self.change(self.cluster_id, self.node_pool_id, remove)
        self.log.info("Nodes that ACK gave up are removed first: %s", ", ".join(instance_ids))
        again = {**self._pool(), "restarts": self.restarts + 1}
        self.await_task(task_id, again, "begin_again")

    def settle(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on once the task is done: it ends when ACK is content, not when nodes are Ready."""
        self.read(event)
        self._await_nodes(event["subject"])

    def _await_nodes(self, subject: Mapping[str, Any]) -> NoReturn:
        self.wait_for("nodes_ready" if subject["count"] else "nodes_gone", subject)

    def resume(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        return {"nodes": self.read(event)["nodes"]}

    def _pool(self) -> dict[str, Any]:
        return {"cluster_id": self.cluster_id, "node_pool_id": self.node_pool_id}


def size(value: int | str) -> int:
    """Return a number of nodes, as given or as a template rendered it.

    :raises InvalidInputError: for anything below 0 or that is no whole number.
    """
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = -1
    if count < 0:
        raise InvalidInputError(
            f"desired_size is {value!r}; use a whole number of nodes, 0 or more"
        )
    return count
