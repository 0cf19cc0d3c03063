"""Container Service for Kubernetes: what is only read.

https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/developer-reference/api-cs-2015-12-15-describeclusternodepools
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import NotFoundError, UnclearReplyError
from ack_preload.domain.grammar import identifier
from ack_preload.domain.node_pools import Node, NodePoolView
from ack_preload.hooks.calls import look
from ack_preload.hooks.cloud import CloudHook, plain
from ack_preload.hooks.whole import WholeReplies

if TYPE_CHECKING:
    from alibabacloud_cs20151215 import models as cs
    from alibabacloud_cs20151215.client import Client

VERSION = "2015-12-15"
NO_POOL = "ErrorNodePoolNotFound"
NO_CLUSTER = "ErrorClusterNotFound"
"""The one answer that says that a cluster is gone. Others are NotFound too, and are of an AccessKey
that was deleted or of an endpoint that has no such call."""
CLUSTERS = 50  # a page of DescribeClustersV1, which does not say how many it allows


class AckReading(CloudHook):
    """Clusters, node pools, nodes, tasks and the kubeconfig."""

    @cached_property
    def client(self) -> Client:
        from alibabacloud_cs20151215.client import Client

        class Checked(WholeReplies, Client):  # type: ignore[misc]  # the SDK has no types
            """The client, which takes no answer for none."""

        return Checked(self.account.config(self.account.cs_endpoint))

    def clusters(self) -> list[str]:
        """Return the ids of all clusters of the region, whoever made them."""
        from alibabacloud_cs20151215 import models as cs

        request = cs.DescribeClustersV1Request(
            region_id=self.account.region, page_number=1, page_size=min(self.page_size, CLUSTERS)
        )
        found: list[str] = []
        while True:
            body = plain(self._read("DescribeClustersV1", self._ask("clusters_v1", request)))
            listed = [str(each["cluster_id"]) for each in body["clusters"]]
            found += listed
            # By the count and not by the length of a page: nothing says what the longest is.
            if len(found) >= body["page_info"]["total_count"]:
                return found
            if not listed:
                raise UnclearReplyError(
                    f"DescribeClustersV1 lists {len(found)} clusters of "
                    f"{body['page_info']['total_count']}"
                )
            request.page_number += 1

    def cluster(self, cluster_id: str) -> dict[str, Any]:
        """Return DescribeClusterDetail's answer as it came."""
        return plain(self._read("DescribeClusterDetail", self._ask("cluster_detail", cluster_id)))

    def addons(self, cluster_id: str) -> dict[str, str]:
        """Return the installed components of a cluster: name to version."""
        answer = self._read(
            "ListClusterAddonInstances",
            lambda: self.client.list_cluster_addon_instances(cluster_id).body,
        )
        return {addon["name"]: addon["version"] for addon in plain(answer).get("addons") or []}

    def node_pools(self, cluster_id: str) -> list[NodePoolView]:
        """Return all node pools of a cluster, ours and others."""
        from alibabacloud_cs20151215 import models as cs

        request = cs.DescribeClusterNodePoolsRequest()
        answer = self._read(
            "DescribeClusterNodePools", self._ask("cluster_node_pools", cluster_id, request)
        )
        return [NodePoolView.from_api(pool) for pool in plain(answer).get("nodepools") or []]

    def node_pool(self, cluster_id: str, node_pool_id: str) -> NodePoolView | None:
        """Return a node pool, or ``None`` when the cluster has none of that id."""
        try:
            answer = self._read(
                "DescribeClusterNodePoolDetail",
                self._ask("cluster_node_pool_detail", cluster_id, node_pool_id),
            )
        except NotFoundError as exc:
            if exc.code == NO_POOL:
                return None
            raise
        return NodePoolView.from_api(plain(answer))

    def kubeconfig(self, cluster_id: str, *, private: bool = True, minutes: int = 60) -> str:
        """Return a temporary kubeconfig as YAML text. It is a secret: never log or pass it on.

        :param private: whether to reach the API server by its address inside the VPC.
        :param minutes: 15 to 4320; then the certificate in it ends.
        """
        answer = self._read(
            "DescribeClusterUserKubeconfig",
            self._ask("cluster_user_kubeconfig", cluster_id, self._kubeconfig(private, minutes)),
        )
        return str(answer.config)

    async def kubeconfig_async(
        self, cluster_id: str, *, private: bool = True, minutes: int = 60
    ) -> str:
        """As :meth:`kubeconfig`, for a trigger."""
        request = self._kubeconfig(private, minutes)
        answer = await look(
            lambda: self.client.describe_cluster_user_kubeconfig_async(cluster_id, request)
        )
        return str(answer.body.config)

    def _kubeconfig(self, private: bool, minutes: int) -> cs.DescribeClusterUserKubeconfigRequest:
        from alibabacloud_cs20151215 import models as cs

        return cs.DescribeClusterUserKubeconfigRequest(
            private_ip_address=private, temporary_duration_minutes=minutes
        )

    def nodes(self, cluster_id: str, node_pool_id: str) -> list[Node]:
        """Return the nodes of a pool, those that are still joining included."""
        found: list[Node] = []
        while True:
            request = self._describe_nodes(node_pool_id, 1 + len(found) // self.page_size)
            listed = _nodes(
                self._read("DescribeClusterNodes", self._ask("cluster_nodes", cluster_id, request))
            )
            found += listed
            if len(listed) < self.page_size:
                return found

    def _describe_nodes(self, node_pool_id: str, page: int) -> cs.DescribeClusterNodesRequest:
        from alibabacloud_cs20151215 import models as cs

        return cs.DescribeClusterNodesRequest(
            nodepool_id=node_pool_id, page_number=str(page), page_size=str(self.page_size)
        )

    def _ask(self, what: str, *arguments: Any) -> Callable[[], Any]:
        """Return the call of the SDK's method ``describe_<what>``, which answers a body.

        :raises InvalidInputError: for an id that would not stay one part of the call's path.
        """
        ids = (each for each in arguments if isinstance(each, str))
        for field, given in zip(("cluster_id", "node_pool_id"), ids, strict=False):
            identifier(field, given)
        method = getattr(self.client, f"describe_{what}")
        return lambda: method(*arguments).body

    def _change(
        self,
        action: str,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any],
        first: Callable[[], None] = lambda: None,
    ) -> dict[str, Any] | None:
        """Send a change by the SDK's generic call, with exactly ``body``.

        :param first: called before each sending; what it raises ends the call.

        The SDK's own models of these two calls write every list that is not set as ``[]``,
        which would ask the cloud to take all data disks, labels and taints off the pool.
        """
        from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
        from darabonba.runtime import RuntimeOptions

        params = Params(
            action=action,
            version=VERSION,
            protocol="HTTPS",  # only a default: the client's own protocol wins
            pathname=path,
            method=method,
            auth_type="AK",
            style="ROA",
            req_body_type="json",
            body_type="json",
        )
        request = OpenApiRequest(headers={}, query={}, body=dict(body))

        def change() -> Any:
            first()
            return self.client.call_api(params, request, RuntimeOptions())

        answer = self._send(action, change)
        return None if answer is None else dict(answer["body"])


def _nodes(body: Any) -> list[Node]:
    return [Node.from_api(each) for each in plain(body).get("nodes") or []]
