"""Container Service for Kubernetes: node pools and their nodes.

https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/developer-reference/api-cs-2015-12-15-overview
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ack_preload.domain.errors import ForeignResourceError, NotFoundError
from ack_preload.domain.node_pools import NodePoolView
from ack_preload.domain.tags import PRODUCT_KEY, is_of_run, is_ours
from ack_preload.hooks.ack_reading import AckReading

Body = Mapping[str, Any]


class AckHook(AckReading):
    """What changes a node pool, on top of what reads it.

    ACK has no ClientToken. Creating is therefore preceded by a look for the name, and followed
    by another one when the reply got lost: see :class:`~ack_preload.operators.node_pool`.
    """

    def create_node_pool(self, cluster_id: str, body: Body) -> tuple[str, str]:
        """Create a node pool; return its id and the id of the task that makes it.

        Never sent twice: after an unclear reply look for the name first.
        """
        path = f"/clusters/{cluster_id}/nodepools"
        answer = self._change("CreateClusterNodePool", "POST", path, body=body) or {}
        return str(answer["nodepool_id"]), str(answer.get("task_id") or "")

    def modify_node_pool(self, cluster_id: str, node_pool_id: str, changes: Body) -> str:
        """Change only what ``changes`` holds; return the id of the task that does it.

        :param changes: the part of the body that differs, such as
            ``{"scaling_group": {"desired_size": 1}}``; a list in it replaces the whole list.
        """
        path = f"/clusters/{cluster_id}/nodepools/{node_pool_id}"
        answer = self._change("ModifyClusterNodePool", "PUT", path, body=changes) or {}
        return str(answer.get("task_id") or "")

    def set_desired_size(self, cluster_id: str, node_pool_id: str, desired_size: int) -> str:
        """Ask for ``desired_size`` nodes in all; return the task id.

        ScaleClusterNodePool is not used: its count is of nodes to *add*, so that sending it
        again after a lost reply would add them twice.
        """
        return self.modify_node_pool(
            cluster_id, node_pool_id, {"scaling_group": {"desired_size": desired_size}}
        )

    def remove_nodes(
        self,
        cluster_id: str,
        node_pool_id: str,
        instance_ids: Sequence[str],
        *,
        drain: bool = False,
    ) -> str:
        """Remove nodes and release their instances; return the task id."""
        from alibabacloud_cs20151215 import models as cs

        request = cs.RemoveNodePoolNodesRequest(
            instance_ids=list(instance_ids), release_node=True, drain_node=drain
        )
        answer = self._send(
            "RemoveNodePoolNodes",
            lambda: self.client.remove_node_pool_nodes(cluster_id, node_pool_id, request),
        )
        return str(answer.body.task_id or "") if answer else ""

    def delete_node_pool(self, cluster_id: str, node_pool_id: str) -> str:
        """Delete a node pool with its nodes; return the task id, "" when it was gone already.

        :raises ForeignResourceError: when the pool does not carry our tag.
        """
        from alibabacloud_cs20151215 import models as cs

        pool = self.node_pool(cluster_id, node_pool_id)
        if pool is None:
            return ""
        if not is_ours(pool.tags):
            raise ForeignResourceError(
                f"node pool {node_pool_id} ({pool.name}) lacks the tag {PRODUCT_KEY}; "
                "it is not ours to delete"
            )
        request = cs.DeleteClusterNodepoolRequest(force=True)
        answer = self._send(
            "DeleteClusterNodepool",
            lambda: self.client.delete_cluster_nodepool(cluster_id, node_pool_id, request),
        )
        return str(answer.body.task_id or "") if answer else ""

    def node_pool_named(self, cluster_id: str, name: str) -> NodePoolView | None:
        """Return the node pool of that name, whoever made it."""
        return next((p for p in self.node_pools(cluster_id) if p.name == name), None)

    def node_pools_of_run(self, cluster_id: str, run: str, installation: str) -> list[NodePoolView]:
        """Return the node pools that the run created; none when the cluster is gone."""
        try:
            listed = self.node_pools(cluster_id)
        except NotFoundError:
            return []
        return [p for p in listed if is_of_run(p.tags, run, installation)]
