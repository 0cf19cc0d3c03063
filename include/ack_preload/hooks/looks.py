"""What triggers read of one account in one region: many resources with one call, all in pace.

A wait looks again and again, so these calls are not repeated here: an error says what it means
and the wait goes on. An answer that cannot be read is no answer, and never "not there".
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, TypeVar

from ack_preload.domain.disks import Instance, Snapshot
from ack_preload.domain.errors import NotFoundError, UnclearReplyError
from ack_preload.domain.node_pools import Node, NodePoolView
from ack_preload.hooks.account import Account
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ack_reading import NO_POOL
from ack_preload.hooks.calls import look
from ack_preload.hooks.cloud import plain
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.pace import pace_of
from ack_preload.hooks.whole import readable

T = TypeVar("T")

AT_ONCE = 100
"""The most ids that DescribeInstances and DescribeSnapshots take, and nodes that one page has."""


def load_clients() -> None:
    """Import the clients of both SDKs: two seconds of work that no event loop should wait for."""
    for package in ("alibabacloud_ecs20140526", "alibabacloud_cs20151215"):
        import_module(f"{package}.client")


class Looks:
    """The reads of one account.

    The methods that take ids or a cluster send their first call at once: whoever calls them has
    waited for a turn of :attr:`pace`, and then chosen what to ask for. Only further pages wait
    for turns of their own. To be made in the event loop that it is used in.
    """

    page_size: ClassVar[int] = AT_ONCE

    def __init__(self, account: Account) -> None:
        self.pace = pace_of(account)
        self._region = account.region
        self._ecs = EcsHook(account.conn_id, account=account)
        self._ack = AckHook(account.conn_id, account=account)
        self._pages: dict[str, int] = {}

    async def instances(self, ids: Sequence[str]) -> dict[str, Instance]:
        """Return those of up to 100 instances that the cloud lists, by id."""
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DescribeInstancesRequest(
            region_id=self._region, instance_ids=json.dumps(list(ids)), max_results=AT_ONCE
        )
        body = await self._ask(partial(self._ecs.client.describe_instances_async, request))
        with readable("DescribeInstances"):
            found = [Instance.from_api(each) for each in body["Instances"]["Instance"]]
        return _all_of(ids, {instance.instance_id: instance for instance in found}, body)

    async def snapshots(self, ids: Sequence[str]) -> dict[str, Snapshot]:
        """Return those of up to 100 snapshots that the cloud lists, by id."""
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DescribeSnapshotsRequest(
            region_id=self._region, snapshot_ids=json.dumps(list(ids)), max_results=AT_ONCE
        )
        body = await self._ask(partial(self._ecs.client.describe_snapshots_async, request))
        with readable("DescribeSnapshots"):
            found = [Snapshot.from_api(each) for each in body["Snapshots"]["Snapshot"]]
        return _all_of(ids, {snapshot.snapshot_id: snapshot for snapshot in found}, body)

    async def agents(self, ids: Sequence[str]) -> dict[str, str]:
        """Return whether Cloud Assistant hears of up to 100 instances, ``true`` or ``false``.

        Nothing of one that the cloud does not list.
        """
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DescribeCloudAssistantStatusRequest(
            region_id=self._region, instance_id=list(ids)
        )
        try:
            body = await self._ask(
                partial(self._ecs.client.describe_cloud_assistant_status_async, request)
            )
        except NotFoundError as exc:
            if len(ids) > 1 or "Instance" not in exc.code:
                raise  # it is about one of them, or about something else
            return {}
        with readable("DescribeCloudAssistantStatus"):
            found = body["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
            return {each["InstanceId"]: each["CloudAssistantStatus"].lower() for each in found}

    async def tasks(self, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return state and error, "" for none, of one task of ACK, by its id.

        Nothing when the cloud does not show it: reads may lag behind the call that began it.
        """
        (task_id,) = ids
        try:
            body = await self._ask(partial(self._ack.client.describe_task_info_async, task_id))
        except NotFoundError as exc:
            if "Task" not in exc.code:  # its whole code is documented nowhere
                raise
            return {}
        with readable("DescribeTaskInfo"):
            error = body.get("error") or {}
            told = (str(error[key]) for key in ("code", "message") if error.get(key))
            return {task_id: (str(body["state"]), ": ".join(told))}

    async def node_pools(self, cluster_id: str, ids: Sequence[str]) -> dict[str, NodePoolView]:
        """Return those node pools of a cluster that it lists, by id."""
        found = await self._listed_pools(cluster_id)
        return {pool.node_pool_id: pool for pool in found if pool.node_pool_id in ids}

    async def node_pools_named(
        self, cluster_id: str, names: Sequence[str]
    ) -> dict[str, NodePoolView]:
        """Return those node pools of a cluster that it lists, by name."""
        found = await self._listed_pools(cluster_id)
        return {pool.name: pool for pool in found if pool.name in names}

    async def _listed_pools(self, cluster_id: str) -> list[NodePoolView]:
        from alibabacloud_cs20151215 import models as cs

        request = cs.DescribeClusterNodePoolsRequest()
        ask = self._ack.client.describe_cluster_node_pools_async
        body = await self._ask(partial(ask, cluster_id, request))
        with readable("DescribeClusterNodePools"):
            return [NodePoolView.from_api(pool) for pool in body["nodepools"]]

    async def nodes(self, cluster_id: str, pool_ids: Sequence[str]) -> dict[str, list[Node]]:
        """Return the nodes of some pools, those that still join included: none of a pool is ``[]``.

        One pool is asked for by its id. Several are picked out of a listing of the cluster.
        """
        found: dict[str, list[Node]] = {pool_id: [] for pool_id in pool_ids}
        only = pool_ids[0] if len(pool_ids) == 1 else None
        page = 0
        while True:
            page += 1
            if page > 1:
                await self.pace.turn()
            listed = await self._page_of_nodes(cluster_id, only, page)
            with readable("DescribeClusterNodes"):
                for each in listed:
                    pool_id = only or each.get("nodepool_id")
                    if pool_id in found:
                        found[pool_id].append(Node.from_api(each))
            if len(listed) < self.page_size:
                break
        if only is None:
            self._pages[cluster_id] = page
        return found

    def pools_at_once(self, cluster_id: str, wanted: int) -> int:
        """Return of how many of ``wanted`` pools one :meth:`nodes` should tell.

        All, unless the cluster is so large that its listing has more pages than there are pools.
        """
        return wanted if self._pages.get(cluster_id, 1) <= wanted else 1

    async def _page_of_nodes(
        self, cluster_id: str, pool_id: str | None, page: int
    ) -> list[dict[str, Any]]:
        from alibabacloud_cs20151215 import models as cs

        request = cs.DescribeClusterNodesRequest(
            nodepool_id=pool_id, page_number=str(page), page_size=str(self.page_size)
        )
        ask = self._ack.client.describe_cluster_nodes_async
        try:
            body = await self._ask(partial(ask, cluster_id, request))
        except NotFoundError as exc:
            if exc.code == NO_POOL:
                return []
            raise
        with readable("DescribeClusterNodes"):
            listed: list[dict[str, Any]] = body["nodes"]
        return listed

    async def kubeconfig(self, cluster_id: str) -> str:
        """Return a temporary kubeconfig, in a turn of its own. It is a secret."""
        await self.pace.turn()
        return await self.pace.heard(lambda: self._ack.kubeconfig_async(cluster_id))

    async def _ask(self, request: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
        answer = await self.pace.heard(lambda: look(request))
        with readable("the cloud"):
            return plain(answer.body)


def _all_of(ids: Sequence[str], found: dict[str, T], body: Mapping[str, Any]) -> dict[str, T]:
    """Refuse an answer that goes on elsewhere: what it does not list may be there all the same."""
    if body.get("NextToken") and not found.keys() >= set(ids):
        raise UnclearReplyError(f"{len(found)} of {len(ids)} ids were listed, and a next page")
    return found
