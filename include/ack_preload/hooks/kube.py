"""Nodes, Pods and events of one cluster, over the kubeconfig that ACK hands out; async only.

https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    NotFoundError,
    ThrottledError,
    UnclearReplyError,
)
from ack_preload.domain.grammar import dns_label, identifier
from ack_preload.domain.workload import NODE_POOL_LABEL
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.kubeconfig import ClusterAccess
from ack_preload.hooks.loading import load
from ack_preload.hooks.whole import readable

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

    from ack_preload.hooks.looks import Looks

T = TypeVar("T")

TIMEOUT_S = 20
PAGE = 500
UNAUTHORIZED, NOT_FOUND, CONFLICT, THROTTLED, SERVER_ERROR = 401, 404, 409, 429, 500


@dataclass(frozen=True, slots=True)
class NodeView:
    """What measuring needs of a Node; times as the API server writes them."""

    name: str
    registered_at: str
    ready: bool
    ready_at: str  # last transition of the Ready condition; empty when there is none yet
    reason: str = ""  # why it is not Ready, in the kubelet's words
    provider_id: str = ""  # ends in the id of its instance: cn-hangzhou.i-1

    @classmethod
    def from_api(cls, node: Mapping[str, Any]) -> NodeView:
        conditions = (node.get("status") or {}).get("conditions") or []
        ready: Mapping[str, Any] = next(
            (each for each in conditions if each.get("type") == "Ready"), {}
        )
        return cls(
            name=node["metadata"]["name"],
            registered_at=node["metadata"]["creationTimestamp"],
            ready=ready.get("status") == "True",
            ready_at=ready.get("lastTransitionTime") or "",
            reason=ready.get("message") or "",
            provider_id=(node.get("spec") or {}).get("providerID") or "",
        )

    def is_on(self, instance_id: str, node_name: str) -> bool:
        """Tell whether it is the Node of that instance, by the cloud's id or by its name."""
        if instance_id and self.provider_id.replace("/", ".").split(".")[-1] == instance_id:
            return True
        return self.name == node_name

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class EventView:
    reason: str
    message: str
    at: str  # first time; empty when the API server has none
    node: str
    component: str

    @classmethod
    def from_api(cls, event: Mapping[str, Any]) -> EventView:
        source = event.get("source") or {}
        return cls(
            reason=event.get("reason") or "",
            message=event.get("message") or "",
            at=event.get("firstTimestamp") or event.get("eventTime") or "",
            node=source.get("host") or event.get("reportingInstance") or "",
            component=source.get("component") or event.get("reportingComponent") or "",
        )


class KubeHook:
    """One cluster's API server. Use :meth:`open`, which closes the connections."""

    def __init__(self, api: ApiClient, cluster_id: str) -> None:
        self._api = api
        self.cluster_id = cluster_id

    @classmethod
    @asynccontextmanager
    async def open(cls, looks: Looks, cluster_id: str) -> AsyncIterator[KubeHook]:
        """Ask ACK for a kubeconfig, in the account's pace, and connect with it."""
        access = ClusterAccess.from_kubeconfig(await looks.kubeconfig(cluster_id))
        async with cls.connect(access, cluster_id) as hook:
            yield hook

    @classmethod
    @asynccontextmanager
    async def connect(cls, access: ClusterAccess, cluster_id: str) -> AsyncIterator[KubeHook]:
        await load("kubernetes_asyncio.client")
        from kubernetes_asyncio.client import ApiClient

        with access.configuration() as configuration:
            api = ApiClient(configuration)
        async with api:
            yield cls(api, cluster_id)

    @classmethod
    def ask(cls, conn_id: str, cluster_id: str, question: Callable[[KubeHook], Awaitable[T]]) -> T:
        """Run ``question`` from a task, which has no event loop of its own."""
        access = ClusterAccess.from_kubeconfig(AckHook(conn_id).kubeconfig(cluster_id))

        async def connected() -> T:
            async with cls.connect(access, cluster_id) as hook:
                return await question(hook)

        return asyncio.run(connected())

    async def version(self) -> str:
        """Return the API server's version; tells whether it can be reached at all."""
        answer = await self._call("GET", "/version")
        with readable("GET /version"):
            return str(answer["gitVersion"])

    async def nodes_of_pool(self, node_pool_id: str) -> list[NodeView]:
        selector = f"{NODE_POOL_LABEL}={identifier('node_pool_id', node_pool_id)}"
        found = await self._list("/api/v1/nodes", labelSelector=selector)
        with readable("GET /api/v1/nodes"):
            return [NodeView.from_api(node) for node in found]

    async def events_of_node(self, node_name: str, reason: str) -> list[EventView]:
        """Return the kubelet's events on one node with one reason; kept for about an hour."""
        selector = f"reason={reason},source=kubelet"
        found = await self._list("/api/v1/events", fieldSelector=selector)
        with readable("GET /api/v1/events"):
            views = [EventView.from_api(event) for event in found]
        return [view for view in views if view.node == node_name]

    async def create_pod(self, namespace: str, pod: Mapping[str, Any]) -> dict[str, Any]:
        """Create a Pod; one of that name that is there already is returned as it is."""
        try:
            return await self._call("POST", _pods(namespace), body=pod)
        except CloudError as exc:
            if exc.code != "AlreadyExists":
                raise
        return await self._call("GET", _pods(namespace, pod["metadata"]["name"]))

    async def pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return await self._call("GET", _pods(namespace, name))
        except NotFoundError:
            return None

    async def delete_pod(self, namespace: str, name: str) -> None:
        """Delete a Pod at once; one that is not there is fine."""
        query = {"gracePeriodSeconds": "0"}
        try:
            await self._call("DELETE", _pods(namespace, name), query=query)
        except NotFoundError:
            return

    async def _list(self, path: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        query["limit"] = str(PAGE)
        while True:
            page = await self._call("GET", path, query=query)
            with readable(f"GET {path}"):
                found += page["items"] or []  # Go writes null for a list of none
                token = (page.get("metadata") or {}).get("continue")
            if not token:
                return found
            query["continue"] = token

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Call the API server and return its JSON.

        Raw JSON on purpose: the client's models refuse objects that a newer server extends.
        """
        import aiohttp  # comes with the client

        host = str(self._api.configuration.host)
        headers = {"Accept": "application/json", **self._authorization()}
        try:
            reply = await self._api.rest_client.request(
                method,
                host + path,
                query_params=dict(query or {}),
                headers=headers,
                body=body,
                _preload_content=False,
                _request_timeout=TIMEOUT_S,
            )
            status, text = reply.status, await reply.text()
        except aiohttp.ClientConnectorCertificateError as exc:
            raise CloudError(
                "CertificateUntrusted",
                f"{host} shows a certificate that the kubeconfig of {self.cluster_id} does not "
                f"trust: {exc.certificate_error}",
                request_id="none",
            ) from exc
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise UnclearReplyError(
                f"Kubernetes API of cluster {self.cluster_id} at {host} gives no answer "
                f"({type(exc).__name__}: {exc}); check the route from Airflow to it"
            ) from exc
        return read_answer(status, text, f"{method} {path}")

    def _authorization(self) -> dict[str, str]:
        token = self._api.configuration.api_key.get("BearerToken")
        return {"Authorization": token} if token else {}


def read_answer(status: int, text: str, what: str) -> dict[str, Any]:
    """Return the JSON object of an answer.

    :raises UnclearReplyError: when it says that all is well, and then nothing that can be read.
    :raises CloudError: with Kubernetes' own reason as its code.
    """
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if status < 300:  # noqa: PLR2004  # HTTP: success
        if not isinstance(data, dict):
            raise UnclearReplyError(f"{what} is answered {status} without a JSON object")
        return data
    if not isinstance(data, dict):
        data = {}
    code = data.get("reason") or f"HTTP{status}"
    message = f"{what}: {data.get('message') or text[:200]}"
    raise _error_class(status)(code, message, request_id="none")


def _error_class(status: int) -> type[CloudError]:
    if status == THROTTLED:
        return ThrottledError
    if status >= SERVER_ERROR:
        return CloudUnavailableError
    return NotFoundError if status == NOT_FOUND else CloudError


def _pods(namespace: str, name: str = "") -> str:
    """Return the path of a Pod, or of all of a namespace."""
    path = f"/api/v1/namespaces/{dns_label('namespace', namespace)}/pods"
    return f"{path}/{dns_label('pod', name)}" if name else path
