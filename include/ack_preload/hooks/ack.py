"""Container Service for Kubernetes: node pools and their nodes.

https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/developer-reference/api-cs-2015-12-15-overview
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    NotFoundError,
    UnclearReplyError,
)
from ack_preload.domain.grammar import identifier
from ack_preload.domain.node_pools import NodePoolView
from ack_preload.domain.tags import is_of_run, refuse_foreign
from ack_preload.hooks.ack_reading import NO_CLUSTER, NO_POOL, AckReading
from ack_preload.hooks.calls import POOL_BUSY
from ack_preload.hooks.history import installation_of

Body = Mapping[str, Any]
LATE = datetime.max.replace(tzinfo=UTC)


class AckHook(AckReading):
    """What changes a node pool, on top of what reads it.

    ACK has no ClientToken. Creating is therefore preceded by a look for the name, and followed
    by another one when the reply got lost: see :class:`~ack_preload.operators.node_pool`.
    """

    def create_node_pool(self, cluster_id: str, body: Body) -> tuple[str, str]:
        """Create a node pool; return its id and the id of the task that makes it.

        Never sent twice: after an unclear reply look for the name first.
        """
        path = f"/clusters/{identifier('cluster_id', cluster_id)}/nodepools"
        answer = self._change("CreateClusterNodePool", "POST", path, body=body) or {}
        if not answer.get("nodepool_id"):
            raise UnclearReplyError(f"CreateClusterNodePool was answered without an id: {answer}")
        return str(answer["nodepool_id"]), str(answer.get("task_id") or "")

    def modify_node_pool(
        self,
        cluster_id: str,
        node_pool_id: str,
        changes: Body,
        *,
        seen: NodePoolView | None = None,
    ) -> str:
        """Change only what ``changes`` holds; return the id of the task that does it.

        :param changes: the part of the body that differs, such as
            ``{"scaling_group": {"desired_size": 1}}``; a list in it replaces the whole list.
        :param seen: what the change was decided on; see :meth:`refuse_moved`.
        """
        ids = identifier("cluster_id", cluster_id), identifier("node_pool_id", node_pool_id)
        path = "/clusters/{}/nodepools/{}".format(*ids)

        def first() -> None:
            if seen is not None:
                self.refuse_moved(cluster_id, seen)

        answer = self._change("ModifyClusterNodePool", "PUT", path, body=changes, first=first)
        return str((answer or {}).get("task_id") or "")

    def refuse_moved(self, cluster_id: str, seen: NodePoolView) -> None:
        """Refuse a change that was decided on what is so no more.

        Asked before each sending, as one call may be repeated for minutes: another run may have
        changed the pool meanwhile, or an earlier sending of this one.

        :raises CloudUnavailableError: as ACK itself does while a change is going on.
        """
        now = self.node_pool(cluster_id, seen.node_pool_id)
        if now is None or (now.tags, now.data_disks) != (seen.tags, seen.data_disks):
            raise CloudUnavailableError(
                POOL_BUSY,
                f"node pool {seen.node_pool_id} was changed meanwhile; look at it again",
                request_id="none",
            )

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
        """Remove nodes and release their instances; return the task id, "" when all were gone.

        ACK refuses the whole call for one node that the pool does not have, as after a reply that
        got lost; so only those are named that it has.
        """
        from alibabacloud_cs20151215 import models as cs

        def remove() -> Any:
            there = self._members(cluster_id, node_pool_id, instance_ids)
            if not there:
                return None
            request = cs.RemoveNodePoolNodesRequest(
                instance_ids=there, release_node=True, drain_node=drain
            )
            return self.client.remove_node_pool_nodes(cluster_id, node_pool_id, request)

        answer = self._send("RemoveNodePoolNodes", remove)
        return str(answer.body.task_id or "") if answer else ""

    def _members(self, cluster_id: str, node_pool_id: str, ids: Sequence[str]) -> list[str]:
        try:
            members = {node.instance_id for node in self.nodes(cluster_id, node_pool_id)}
        except CloudError as exc:
            if exc.code == NO_POOL:
                return []
            raise
        return [instance_id for instance_id in ids if instance_id in members]

    def delete_node_pool(
        self, cluster_id: str, node_pool_id: str, *, seen: NodePoolView | None = None
    ) -> str:
        """Delete a node pool with its nodes; return the task id, "" when it was gone already.

        :param seen: what the deletion was decided on; see :meth:`refuse_moved`.
        :raises ForeignResourceError: when the pool is not of this installation.
        """
        from alibabacloud_cs20151215 import models as cs

        pool = self.node_pool(cluster_id, node_pool_id)
        if pool is None:
            return ""
        what = f"node pool {node_pool_id} ({pool.name})"
        refuse_foreign(what, pool.tags, installation_of(self.account))
        request = cs.DeleteClusterNodepoolRequest(force=True)

        def delete() -> Any:
            if seen is not None:
                self.refuse_moved(cluster_id, seen)
            return self.client.delete_cluster_nodepool(cluster_id, node_pool_id, request)

        answer = self._send("DeleteClusterNodepool", delete)
        return str(answer.body.task_id or "") if answer else ""

    def node_pools_named(self, cluster_id: str, name: str) -> list[NodePoolView]:
        """Return the node pools of that name, whoever made them, the oldest first.

        ACK refuses a name that is taken, so there is one at most; but nothing documents it.
        """
        named = [pool for pool in self.node_pools(cluster_id) if pool.name == name]
        return sorted(named, key=lambda pool: (pool.created or LATE, pool.node_pool_id))

    def node_pools_of_run(self, cluster_id: str, run: str, installation: str) -> list[NodePoolView]:
        """Return the node pools that the run created; none when the cluster is gone."""
        try:
            listed = self.node_pools(cluster_id)
        except NotFoundError as exc:
            if exc.code != NO_CLUSTER:
                raise
            return []
        return [p for p in listed if is_of_run(p.tags, run, installation)]
